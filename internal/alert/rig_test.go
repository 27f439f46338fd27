package alert_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/alert"
	"github.com/sluicehq/sluice/internal/event"
	logmemory "github.com/sluicehq/sluice/internal/eventlog/memory"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/health"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/memory"
)

var base = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// rig is a store and a log that several processes use.
type rig struct {
	*testing.T

	store    *memory.Store
	log      *logmemory.Log
	settings settings.Settings
	at       time.Time
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, store: memory.New(), settings: settings.Default(), at: base}
	r.log = logmemory.New(r.now)
	r.settings.OperatorTenant = "operator"
	return r
}

func (r *rig) now() time.Time { return r.at }

// process returns the store of one process over another one.
func (r *rig) process(over store.Store) *alert.Store {
	return &alert.Store{
		Store: over, Log: r.log, Settings: r.settings, Now: r.now, Logger: slog.New(slog.DiscardHandler),
		Newest: over.Cursor, Added: func([]*store.Alert) {},
	}
}

// publisher returns a publisher that calls outlet.
func (r *rig) publisher(outlet alert.Outlet) *alert.Publisher {
	return &alert.Publisher{
		Store:   r.store,
		Health:  &health.Service{Partitions: r.store, Log: r.log, Settings: r.settings, Now: r.now, Cursor: r.store.Cursor},
		Publish: outlet, Settings: r.settings, Now: r.now,
	}
}

// registered has a running integration with a cursor in each lane, which is due.
func (r *rig) registered(tenant, id string, lanes int) {
	r.Helper()
	writes := []store.Write{store.PutIntegration{Integration: &integration.Integration{
		Tenant: tenant, ID: id, Type: integration.Permanent, Webhook: &integration.Webhook{URL: "https://a.example.com"},
		Running: true, Generation: 1, Incarnation: 1, Lanes: lanes, CreatedAt: base.Add(-24 * time.Hour),
	}}}
	for lane := range lanes {
		writes = append(writes, store.PutCursor{Cursor: &handoff.Cursor{
			Key: handoff.Key{Tenant: tenant, Integration: id, Lane: lane}, Generation: 1, State: handoff.Scheduled, DueAt: base,
		}})
	}
	r.commit(r.store, writes...)
}

func (r *rig) commit(s store.Store, writes ...store.Write) {
	r.Helper()
	if err := s.Commit(r.Context(), writes...); err != nil {
		r.Fatalf("Commit: %v", err)
	}
}

func (r *rig) cursor(lane int) *handoff.Cursor {
	r.Helper()
	c, err := r.store.Cursor(r.Context(), handoff.Key{Tenant: "acme", Integration: "hook", Lane: lane})
	if err != nil {
		r.Fatal(err)
	}
	return c
}

func (r *rig) integration() *integration.Integration {
	r.Helper()
	in, err := r.store.Integration(r.Context(), "acme", "hook")
	if err != nil {
		r.Fatal(err)
	}
	return in
}

// failing returns a cursor that has failed for a time.
func (r *rig) failing(lane int, since time.Duration) *handoff.Cursor {
	c := r.cursor(lane)
	c.Failures, c.FailingSince, c.Cause, c.Status = 9, r.at.Add(-since), "service unavailable", 503
	return c
}

// entry returns a log entry that says something to an operator.
func (r *rig) entry(kind integration.AlertKind, action integration.Action) store.AddEntry {
	return store.AddEntry{History: store.HistoryOf(r.integration()), Alert: kind, Entry: integration.LogEntry{Action: action, CreatedAt: r.at}}
}

// told is an alert as its event says it.
type told struct {
	Tenant, ID string
	Health     *struct {
		State     string
		RestartBy string `json:"restart_by"`
		Failing   *struct{ Attempts int }
	}

	name string
}

// wants fails unless these alerts wait, in order, each once.
func (r *rig) wants(kinds ...integration.AlertKind) []told {
	r.Helper()
	due, err := r.store.Alerts(r.Context(), r.at.Add(time.Hour), 1000)
	if err != nil {
		r.Fatal(err)
	}
	var got, want []string
	var all []told
	for _, a := range due {
		got = append(got, string(a.Kind))
		one := told{name: a.Kind.EventName()}
		if err := json.Unmarshal(a.Payload, &one); err != nil {
			r.Fatalf("payload %s: %v", a.Payload, err)
		}
		all = append(all, one)
	}
	for _, kind := range kinds {
		want = append(want, string(kind))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.Fatalf("alerts %v, want %v", got, want)
	}
	return all
}

// outlet publishes into a list.
type outlet struct {
	store  store.Store
	events []event.Draft
	groups []int
	fails  error // after it has published
}

func (o *outlet) publish(ctx context.Context, drafts []event.Draft, alerts []*store.Alert) error {
	o.events = append(o.events, drafts...)
	o.groups = append(o.groups, len(drafts))
	if o.fails != nil {
		return o.fails
	}
	for _, a := range alerts {
		if err := o.store.Commit(ctx, store.DeleteAlert{Alert: a}); err != nil {
			return err
		}
	}
	return nil
}
