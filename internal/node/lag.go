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
	oldest              time.Time // published_at of the first event it lacks; zero if none
}

// lags returns the lag of every running integration, summed over its lanes.
func (n *Node) lags(ctx context.Context) ([]lag, error) {
	cursors, err := n.store.Cursors(ctx)
	if err != nil {
		return nil, err
	}
	var lags []lag
	states := make(map[event.Partition]*handoff.PartitionState)
	for _, c := range cursors {
		at, err := n.offsetOf(ctx, c, states)
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

// offsetOf returns the offset of a cursor or, while it is live, that of its
// subscriber. It caches partition states in states.
func (n *Node) offsetOf(ctx context.Context, c *handoff.Cursor, states map[event.Partition]*handoff.PartitionState) (handoff.Offset, error) {
	if c.State != handoff.Live {
		return c.Offset, nil
	}
	p := c.Key.Partition()
	if states[p] == nil {
		state, err := n.store.Partition(ctx, p)
		if err != nil {
			return handoff.Offset{}, err
		}
		states[p] = state
	}
	if sub := states[p].Find(c.Key.Integration); sub != nil {
		return handoff.Offset{Segment: states[p].AckedBy(sub)}, nil
	}
	return c.Offset, nil
}
