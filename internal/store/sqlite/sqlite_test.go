package sqlite_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sqlitedb"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/sqlite"
	"github.com/sluicehq/sluice/internal/store/storetest"
)

func open(t testing.TB, dir string) (*sqlite.Store, *sqlitedb.DB) {
	t.Helper()
	db, err := sqlitedb.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return sqlite.New(db), db
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		s, _ := open(t, t.TempDir())
		return s
	})
}

func TestRecordsOutliveTheProcess(t *testing.T) {
	dir := t.TempDir()
	s, db := open(t, dir)
	in := &integration.Integration{Tenant: "a", ID: "hook", Type: integration.Permanent}
	if err := s.Commit(t.Context(), store.PutIntegration{Integration: in}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ = open(t, dir)
	got, err := s.Integration(t.Context(), "a", "hook")
	if err != nil || got.Version != in.Version {
		t.Errorf("got %+v, %v, want version %d", got, err, in.Version)
	}
}

func TestTrimEntries(t *testing.T) {
	s, db := open(t, t.TempDir())
	base := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	h := store.History{Tenant: "a", Integration: "hook", Incarnation: 1}
	for i := range 10 {
		var writes []store.Write
		for j := range 50 {
			at := base.Add(time.Duration(50*i+j) * time.Second)
			writes = append(writes, store.AddEntry{History: h, Entry: integration.LogEntry{Reason: fmt.Sprint(50*i + j), CreatedAt: at}})
		}
		if err := s.Commit(t.Context(), writes...); err != nil {
			t.Fatal(err)
		}
	}
	before := db.Commits()
	n, err := s.TrimEntries(t.Context(), base.Add(450*time.Second))
	if err != nil || n != 450 {
		t.Errorf("TrimEntries: %d, %v, want 450", n, err)
	}
	if steps := db.Commits() - before; steps < 3 {
		t.Errorf("it took %d transactions, want several small ones", steps)
	}
	left, err := s.Entries(t.Context(), h, 1000)
	if err != nil || len(left) != 50 || left[49].Reason != "450" {
		t.Errorf("%d entries are left, %v, want 50 from the one of the given time on", len(left), err)
	}
	if n, err := s.TrimEntries(t.Context(), base); err != nil || n != 0 {
		t.Errorf("TrimEntries again: %d, %v, want 0", n, err)
	}
}

func BenchmarkCommit(b *testing.B) {
	s, _ := open(b, b.TempDir())
	b.RunParallel(func(pb *testing.PB) {
		t := &store.Tenant{Name: fmt.Sprint(time.Now().UnixNano())}
		for pb.Next() {
			if err := s.Commit(b.Context(), store.PutTenant{Tenant: t}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	s, _ := open(b, b.TempDir())
	if err := s.Commit(b.Context(), store.PutTenant{Tenant: &store.Tenant{Name: "a"}}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Tenant(b.Context(), "a"); err != nil {
			b.Fatal(err)
		}
	}
}
