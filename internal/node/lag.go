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
	var lags []lag
	records := make(map[event.Partition]*handoff.Record)
	err := n.store.Cursors(ctx, func(c *handoff.Cursor) error {
		p := c.Key.Partition()
		at := c.Position
		if c.State == handoff.Following {
			if records[p] == nil {
				r, err := n.store.Record(ctx, p)
				if err != nil {
					return err
				}
				records[p] = r
			}
			if f := records[p].Find(c.Key.Integration); f != nil {
				at = handoff.Position{Segment: records[p].Start(f)}
			}
		}
		events, oldest, err := n.log.After(ctx, p, at.Segment)
		if err != nil {
			return err
		}
		if last := len(lags) - 1; last < 0 || lags[last].tenant != p.Tenant || lags[last].integration != c.Key.Integration {
			lags = append(lags, lag{tenant: p.Tenant, integration: c.Key.Integration})
		}
		l := &lags[len(lags)-1]
		l.events += max(0, events-at.Index)
		if !oldest.IsZero() && (l.oldest.IsZero() || oldest.Before(l.oldest)) {
			l.oldest = oldest
		}
		return nil
	})
	return lags, err
}
