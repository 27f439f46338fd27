package node

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/alert"
	"github.com/sluicehq/sluice/internal/backoff"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/health"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	port "github.com/sluicehq/sluice/internal/store"
	store "github.com/sluicehq/sluice/internal/store/sqlite"
)

// alerts publishes what an operator is told.
type alerts struct {
	publisher alert.Publisher
	added     chan struct{} // signalled when there are new ones
}

// buildAlerts sets the store by which integrations change: one that tells an operator, if
// one is told.
func (n *Node) buildAlerts() {
	n.records = n.store
	if n.config.OperatorTenant == "" {
		return
	}
	cursor := func(ctx context.Context, k handoff.Key) (*handoff.Cursor, error) { return n.engine.Cursor(ctx, k) }
	n.alerts = &alerts{added: make(chan struct{}, 1), publisher: alert.Publisher{
		Store:   n.store,
		Health:  &health.Service{Partitions: n.store, Log: n.log, Cursor: cursor, Settings: n.config.Settings, Now: n.now},
		Publish: n.publishAlert, Settings: n.config.Settings, Now: n.now,
	}}
	n.records = &alert.Store{
		Store: n.store, Log: n.log, Settings: n.config.Settings, Now: n.now, Logger: n.logger, Newest: cursor,
		Added: func([]*port.Alert) { n.alerts.signal() },
	}
}

func (a *alerts) signal() {
	select {
	case a.added <- struct{}{}:
	default:
	}
}

// publishAlert is an alert.Outlet: the transaction that publishes alerts removes them.
func (n *Node) publishAlert(ctx context.Context, drafts []event.Draft, all []*port.Alert) error {
	return n.log.PublishWith(ctx, n.config.OperatorTenant, n.lanes.Current(ctx), drafts, func(tx *sqlitedb.Tx) (bool, error) {
		return store.TakeAlerts(tx, all)
	})
}

// publishAlerts publishes alerts until ctx ends: those of an earlier process, new ones at
// once, and those that wait for a time with a sweep.
func (n *Node) publishAlerts(ctx context.Context) {
	sweep := time.NewTicker(n.config.SweepInterval)
	defer sweep.Stop()
	for failures := 0; ; {
		_, err := n.alerts.publisher.Drain(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failures++
			n.logger.Error("alerts not published; will retry", "error", err)
			_ = backoff.Wait(ctx, backoff.Ceiling(time.Second, failures, time.Minute))
			continue
		}
		failures = 0
		select {
		case <-n.alerts.added:
		case <-sweep.C:
		case <-ctx.Done():
			return
		}
	}
}

// ensureHook registers the integration of SLUICE_ALERT_URL, or gives it that URL. It tries
// until it succeeds or ctx ends.
func (n *Node) ensureHook(ctx context.Context) {
	if n.config.AlertURL == "" {
		return
	}
	for failures := 1; ; failures++ {
		err := alert.EnsureHook(ctx, n.life, n.config.OperatorTenant, n.config.AlertURL)
		if err == nil || ctx.Err() != nil {
			return
		}
		n.logger.Error("SLUICE_ALERT_URL has no integration that gets the alerts; will retry",
			"tenant", n.config.OperatorTenant, "integration", alert.Hook, "error", err)
		_ = backoff.Wait(ctx, backoff.Ceiling(time.Second, failures, 5*time.Minute))
	}
}
