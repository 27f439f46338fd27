package sqlite_test

import (
	"context"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	"github.com/sluicehq/sluice/internal/store"
)

// A tenant counts as served before anything that serves it is committed, in this process and
// the next, and as long as it is not known.
func TestWhoIsServed(t *testing.T) {
	dir := t.TempDir()
	s, db := open(t, dir)
	if !s.Served("acme") {
		t.Error("before it is known who is served, somebody is not")
	}
	load := func() {
		if err := s.LoadServed(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s.Served("nobody") {
			t.Error("a tenant without records is served")
		}
	}
	load()
	writes := map[string]store.Write{
		"has a record":   store.PutTenant{Tenant: &store.Tenant{Name: "has a record"}},
		"has a cursor":   store.PutCursor{Cursor: &handoff.Cursor{Key: handoff.Key{Tenant: "has a cursor", Integration: "hook"}}},
		"has a conflict": store.PutPartition{State: &handoff.PartitionState{Partition: event.Partition{Tenant: "has a conflict"}, Version: 7}},
	}
	for tenant, w := range writes {
		err := s.Commit(t.Context(), w)
		if conflict := tenant == "has a conflict"; (err != nil) != conflict || !s.Served(tenant) {
			t.Errorf("after the commit of %T (%v) the tenant is served: %v", w, err, s.Served(tenant))
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ = open(t, dir)
	load()
	if !s.Served("has a record") || !s.Served("has a cursor") || s.Served("has a conflict") {
		t.Error("after a restart it is not as stored")
	}
}

// A tenant is served before the commit of its first integration is there: a cursor may be at
// the end of the log as soon as it is, and what is appended then is for live delivery.
func TestATenantIsServedBeforeItsCommit(t *testing.T) {
	s, db := open(t, t.TempDir())
	if err := s.LoadServed(t.Context()); err != nil {
		t.Fatal(err)
	}
	release, committed := make(chan struct{}), make(chan error, 1)
	busy := &sqlitedb.Op{Run: func(*sqlitedb.Tx) error { <-release; return nil }, Done: func(error) {}}
	if err := db.Submit(t.Context(), busy); err != nil {
		t.Fatal(err)
	}
	go func() {
		committed <- s.Commit(context.Background(), store.PutTenant{Tenant: &store.Tenant{Name: "acme"}})
	}()
	tick, patience := time.NewTicker(time.Millisecond), time.After(10*time.Second)
	defer tick.Stop()
	for waiting := true; waiting && !s.Served("acme"); {
		select {
		case <-tick.C:
		case <-patience:
			t.Error("the commit waits for the writer, and its tenant is not served")
			waiting = false
		}
	}
	close(release)
	if err := <-committed; err != nil {
		t.Error(err)
	}
}
