package alert

import (
	"context"
	"errors"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
)

// Outlet publishes the events of alerts for the operator's tenant and removes the alerts
// from the store. After an error either may have happened: then the events are published
// again, with the same ids.
type Outlet func(ctx context.Context, drafts []event.Draft, alerts []*store.Alert) error

// Publisher publishes what the store has of alerts, in groups. Every field but Lease is
// required. It is safe for concurrent use.
type Publisher struct {
	Store    store.Store // not Store: what is written here is no change of an integration
	Health   Healths
	Publish  Outlet
	Settings settings.Settings
	Now      func() time.Time
	// Lease is how long an alert is taken for before it is published, so that no other
	// process publishes it too. With 0 there is no other.
	Lease time.Duration
}

// A group is published together: so many alerts, of so many bytes or a single one.
const (
	groupAlerts = 50
	groupBytes  = 48 << 10
)

// Drain publishes the alerts that are due until none is left, and returns how many it has
// published. It goes on with the next ones in a later call if ctx ends.
func (p *Publisher) Drain(ctx context.Context) (published int, err error) {
	for {
		due, err := p.Store.Alerts(ctx, p.Now(), groupAlerts)
		if err != nil || len(due) == 0 {
			return published, err
		}
		if due, err = p.take(ctx, due); err != nil {
			return published, err
		}
		n, err := p.Deliver(ctx, due)
		if published += n; err != nil {
			return published, err
		}
	}
}

// take takes alerts, and returns those that no other process has.
func (p *Publisher) take(ctx context.Context, due []*store.Alert) (taken []*store.Alert, err error) {
	if p.Lease == 0 {
		return due, nil
	}
	for _, a := range due {
		a.DueAt = p.Now().Add(p.Lease)
		err := p.Store.Commit(ctx, store.PutAlert{Alert: a})
		switch {
		case err == nil:
			taken = append(taken, a)
		case !errors.Is(err, store.ErrConflict):
			return nil, err
		}
	}
	return taken, nil
}

// Deliver publishes alerts that the caller has for itself, and returns how many it has
// published.
func (p *Publisher) Deliver(ctx context.Context, alerts []*store.Alert) (published int, err error) {
	var drafts []event.Draft
	var group []*store.Alert
	size := 0
	flush := func() error {
		if len(group) == 0 {
			return nil
		}
		if err := p.Publish(ctx, drafts, group); err != nil {
			return err
		}
		published += len(group)
		drafts, group, size = nil, nil, 0
		return nil
	}
	var failed error
	for _, a := range alerts {
		due, err := p.complete(ctx, a)
		failed = errors.Join(failed, err) // the others do not wait for it
		if !due {
			continue
		}
		if len(group) == groupAlerts || size+len(a.Payload) > groupBytes {
			if err := flush(); err != nil {
				return published, err
			}
		}
		drafts, group, size = append(drafts, draftOf(a)), append(group, a), size+len(a.Payload)
	}
	return published, errors.Join(flush(), failed)
}

// complete makes the payload of an alert that has none, as its time has come only now. It
// reports false if there is nothing to tell: the integration is gone or started, or its
// restart window does not close yet.
func (p *Publisher) complete(ctx context.Context, a *store.Alert) (bool, error) {
	if a.Payload != nil {
		return true, nil
	}
	in, err := p.Store.Integration(ctx, a.History.Tenant, a.History.Integration)
	switch {
	case err != nil && problem.CodeOf(err) != problem.NotFound:
		return false, err
	case err != nil || store.HistoryOf(in) != a.History || in.Running || in.Alerts.Closing != a.Number:
		return false, p.Store.Commit(ctx, store.DeleteAlert{Alert: a})
	}
	a.At = closingAt(in, &p.Settings)
	if a.At.After(p.Now()) { // the retention was changed
		a.DueAt = a.At
		return false, ignoreConflict(p.Store.Commit(ctx, store.PutAlert{Alert: a}))
	}
	a.Payload, err = p.payload(ctx, in)
	return err == nil, err
}

// payload is without health if that cannot be found out: one integration's damage must not
// keep the alert back.
func (p *Publisher) payload(ctx context.Context, in *integration.Integration) ([]byte, error) {
	found, err := p.Health.Of(ctx, in)
	if err != nil {
		return payloadOf(in, nil)
	}
	return payloadOf(in, found[0])
}

// ignoreConflict: another process has the alert.
func ignoreConflict(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return nil
	}
	return err
}
