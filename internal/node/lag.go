package node

import (
	"context"
	"time"
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
	behind, err := n.health.BehindOf(ctx, cursors)
	if err != nil {
		return nil, err
	}
	var lags []lag
	for i, c := range cursors {
		if last := len(lags) - 1; last < 0 || lags[last].tenant != c.Key.Tenant || lags[last].integration != c.Key.Integration {
			lags = append(lags, lag{tenant: c.Key.Tenant, integration: c.Key.Integration})
		}
		l, b := &lags[len(lags)-1], behind[i]
		l.events += b.Events
		if !b.Oldest.IsZero() && (l.oldest.IsZero() || b.Oldest.Before(l.oldest)) {
			l.oldest = b.Oldest
		}
	}
	return lags, nil
}
