package awsenv

import (
	"context"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/alert"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/health"
	port "github.com/sluicehq/sluice/internal/store"
)

// alertLease is how long an invocation has the alerts that it commits for itself. None lasts
// as long: what one leaves is for the sweep.
const alertLease = 5 * time.Minute

// alerts are those of this process that are committed and not published.
type alerts struct {
	publisher alert.Publisher

	mu    sync.Mutex
	added []*port.Alert
}

// openAlerts sets the store by which integrations change: one that tells an operator, if
// one is told.
func (e *env) openAlerts() {
	e.records = e.store
	if e.config.OperatorTenant == "" {
		return
	}
	cursor := func(ctx context.Context, k handoff.Key) (*handoff.Cursor, error) { return e.store.Cursor(ctx, k) }
	e.alerts = &alerts{publisher: alert.Publisher{
		Store:   e.store,
		Health:  &health.Service{Partitions: e.store, Log: e.log, Cursor: cursor, Settings: e.config.Settings, Now: now},
		Publish: e.publishAlerts, Settings: e.config.Settings, Now: now, Lease: alertLease,
	}}
	e.records = &alert.Store{
		Store: e.store, Log: e.log, Settings: e.config.Settings, Now: now, Logger: e.logger, Newest: cursor,
		Lease: alertLease, Added: e.alerts.add,
	}
}

func (a *alerts) add(all []*port.Alert) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.added = append(a.added, all...)
}

func (a *alerts) take() []*port.Alert {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.added
	a.added = nil
	return all
}

// publishAlerts is an alert.Outlet.
func (e *env) publishAlerts(ctx context.Context, drafts []event.Draft, all []*port.Alert) error {
	if err := e.stream.Publish(ctx, e.config.OperatorTenant, e.lanes.Current(ctx), drafts); err != nil {
		return err
	}
	writes := make([]port.Write, len(all))
	for i, a := range all {
		writes[i] = port.DeleteAlert{Alert: a}
	}
	return e.store.Commit(ctx, writes...)
}

// tell publishes the alerts that this invocation has committed, before it returns. The sweep
// publishes what it cannot.
func (e *env) tell(ctx context.Context) {
	if e.alerts == nil {
		return
	}
	if _, err := e.alerts.publisher.Deliver(ctx, e.alerts.take()); err != nil {
		e.logger.ErrorContext(ctx, "alerts not published; the sweep will", "error", err)
	}
}

// sweepAlerts publishes the alerts that earlier invocations have left, and those whose time
// has come. It also sees to the integration of SLUICE_ALERT_URL: every deployment has a sweep
// within minutes, and its one read is nothing beside it.
func (e *env) sweepAlerts(ctx context.Context) error {
	if e.alerts == nil {
		return nil
	}
	n, err := e.alerts.publisher.Drain(ctx)
	e.report(ctx, "publish alerts", n, err)
	if e.config.AlertURL == "" {
		return err
	}
	if hooked := alert.EnsureHook(ctx, e.life, e.config.OperatorTenant, e.config.AlertURL); hooked != nil {
		e.logger.ErrorContext(ctx, "SLUICE_ALERT_URL has no integration that gets the alerts; will retry",
			"tenant", e.config.OperatorTenant, "integration", alert.Hook, "error", hooked)
	}
	return err
}
