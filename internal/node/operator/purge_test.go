package operator

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	eventlog "github.com/sluicehq/sluice/internal/eventlog/sqlite"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/lifecycle"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	"github.com/sluicehq/sluice/internal/store"
	storesqlite "github.com/sluicehq/sluice/internal/store/sqlite"
)

// refusing is a store that refuses every commit with its error, if it has one.
type refusing struct {
	store.Store
	err error
}

func (r *refusing) Commit(ctx context.Context, writes ...store.Write) error {
	if r.err != nil {
		return r.err
	}
	return r.Store.Commit(ctx, writes...)
}

// tenants returns the tenants of an empty database, and the store through which
// integrations are deleted.
func tenants(t *testing.T) (*Tenants, *refusing) {
	t.Helper()
	db, err := sqlitedb.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	log, err := eventlog.Open(t.Context(), db, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	all := &Tenants{DB: db, Store: storesqlite.New(db), Log: log}
	r := &refusing{Store: all.Store}
	all.Life = &lifecycle.Service{Store: r, Log: log, Settings: settings.Default(), Now: time.Now, Schedule: func(...handoff.Key) {}}
	all.Life.CheckTarget = func(context.Context, string) error { return nil }
	return all, r
}

func publish(t *testing.T, all *Tenants, lanes int, ids ...string) {
	t.Helper()
	for _, id := range ids {
		drafts := []event.Draft{{ID: id, Name: "order.created", Payload: []byte("{}")}}
		if err := all.Log.Publish(t.Context(), "acme", event.Lanes{Each: lanes}, drafts); err != nil {
			t.Fatal(err)
		}
	}
}

// A purge that cannot delete an integration says so and keeps the events: the next one
// finds the tenant whole. It is never reported as done with something left.
func TestPurgeThatFailsIsNoPurge(t *testing.T) {
	all, r := tenants(t)
	_, err := all.Life.Register(t.Context(), "acme", integration.Spec{
		ID: "hook", Type: integration.Permanent, Webhook: &integration.WebhookSpec{URL: "https://example.com"},
	})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, all, 1, "6f1c4f0e-0000-4000-8000-000000000001")
	r.err = errors.New("the disk is on fire")
	if done, err := all.Purge(t.Context(), "acme"); !errors.Is(err, r.err) || done != (Purged{}) {
		t.Errorf("purged %+v, %v; want %v", done, err, r.err)
	}
	usage, err := all.Usage(t.Context(), "acme")
	if err != nil || len(usage) != 1 || usage[0].Integrations != 1 || usage[0].Events != 1 {
		t.Errorf("afterwards it uses %+v, %v, want all it had", usage, err)
	}
	r.err = nil
	if done, err := all.Purge(t.Context(), "acme"); err != nil || done.Integrations != 1 || done.Events != 1 {
		t.Errorf("repeated, it purged %+v, %v", done, err)
	}
}

// The oldest event of a tenant is that of all its lanes.
func TestUsageIsOfAllLanes(t *testing.T) {
	all, _ := tenants(t)
	var ids []string
	for i := range 20 {
		ids = append(ids, fmt.Sprintf("6f1c4f0e-0000-4000-8000-%012d", i))
	}
	publish(t, all, 4, ids...)
	var oldest time.Time
	lanes := 0
	for p := range all.Log.Ends() {
		rest, err := all.Log.After(t.Context(), p, 0)
		if err != nil {
			t.Fatal(err)
		}
		if lanes++; oldest.IsZero() || rest.First.Before(oldest) {
			oldest = rest.First
		}
	}
	usage, err := all.Usage(t.Context(), "")
	if err != nil || lanes < 2 || len(usage) != 1 || usage[0].Events != len(ids) || !usage[0].Oldest.Equal(oldest) {
		t.Errorf("%d lanes use %+v, %v; want %d events since %v", lanes, usage, err, len(ids), oldest)
	}
}
