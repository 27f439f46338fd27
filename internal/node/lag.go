package node

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
)

// lag is how far one running integration is behind the log.
type lag struct {
	tenant, integration string
	events              int
	oldest              time.Time // publication of the first event it lacks; zero for none
}

// lags returns the lag of every running integration, over its lanes.
func (n *Node) lags(ctx context.Context) ([]lag, error) {
	cursors, err := n.store.Cursors(ctx)
	if err != nil {
		return nil, err
	}
	var lags []lag
	records := make(map[event.Partition]*handoff.PartitionState)
	for _, c := range cursors {
		at, err := n.offsetOf(ctx, c, records)
		if err != nil {
			return nil, err
		}
		events, oldest, err := n.log.After(ctx, c.Key.Partition(), at.Segment)
		if err != nil {
			return nil, err
		}
		if last := len(lags) - 1; last < 0 || lags[last].tenant != c.Key.Tenant || lags[last].integration != c.Key.Integration {
			lags = append(lags, lag{tenant: c.Key.Tenant, integration: c.Key.Integration})
		}
		l := &lags[len(lags)-1]
		l.events += max(0, events-at.Index)
		if !oldest.IsZero() && (l.oldest.IsZero() || oldest.Before(l.oldest)) {
			l.oldest = oldest
		}
	}
	return lags, nil
}

// standing is the position of a cursor, or what it is delivered as a follower.
// Records that were read are kept.
func (n *Node) offsetOf(ctx context.Context, c *handoff.Cursor, records map[event.Partition]*handoff.PartitionState) (handoff.Offset, error) {
	if c.State != handoff.Live {
		return c.Offset, nil
	}
	p := c.Key.Partition()
	if records[p] == nil {
		r, err := n.store.Partition(ctx, p)
		if err != nil {
			return handoff.Offset{}, err
		}
		records[p] = r
	}
	if f := records[p].Find(c.Key.Integration); f != nil {
		return handoff.Offset{Segment: records[p].AckedBy(f)}, nil
	}
	return c.Offset, nil
}
