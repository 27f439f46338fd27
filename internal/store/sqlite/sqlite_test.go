package sqlite_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
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

// The entries of a living integration go by age; those of one that is gone, all.
func TestTrimEntries(t *testing.T) {
	s, db := open(t, t.TempDir())
	base := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	var lives []store.History
	for i := range 4 {
		h := store.History{Tenant: "a", Integration: fmt.Sprint("hook-", i), Incarnation: 1}
		lives = append(lives, h)
		put(t, s, store.PutIntegration{Integration: &integration.Integration{Tenant: "a", ID: h.Integration, Incarnation: 1}})
		for j := range 4 {
			addEntries(t, s, h, base, 50*j, 50)
		}
	}
	before := db.Commits()
	n, err := s.TrimHistories(t.Context(), base.Add(150*time.Second), 1000)
	if err != nil || n != 600 {
		t.Errorf("TrimHistories: %d, %v, want 600", n, err)
	}
	if steps := db.Commits() - before; steps < 4 {
		t.Errorf("it took %d transactions, want several small ones", steps)
	}
	for _, h := range lives {
		left, err := s.Entries(t.Context(), h, 1000)
		if err != nil || len(left) != 50 || left[49].Reason != "150" {
			t.Errorf("%d entries are left, %v, want 50 from the one of the given time on", len(left), err)
		}
	}
	if n, err := s.TrimHistories(t.Context(), base, 1000); err != nil || n != 0 {
		t.Errorf("TrimHistories again: %d, %v, want 0", n, err)
	}
}

// addEntries adds n entries in one commit, from the given number on, one a second.
func addEntries(t *testing.T, s *sqlite.Store, h store.History, base time.Time, from, n int) {
	t.Helper()
	var writes []store.Write
	for i := from; i < from+n; i++ {
		at := base.Add(time.Duration(i) * time.Second)
		writes = append(writes, store.AddEntry{History: h, Entry: integration.LogEntry{Reason: fmt.Sprint(i), CreatedAt: at}})
	}
	put(t, s, writes...)
}

// A history that grows without end takes no more space than its bound, also between
// two rounds of maintenance.
func TestTheCommitThatPassesAHistorysBoundTrimsIt(t *testing.T) {
	s, db := open(t, t.TempDir())
	base := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	busy, quiet := store.History{Tenant: "a", Integration: "busy", Incarnation: 1}, store.History{Tenant: "a", Integration: "quiet", Incarnation: 1}
	addEntries(t, s, quiet, base, 0, 60)
	most := 0
	for i := range 120 {
		addEntries(t, s, busy, base, 9*i, 9)
		most = max(most, count(t, db, "entries")-60)
	}
	if most < store.EntriesKept || most > store.EntriesKept+60 {
		t.Errorf("the history had up to %d entries, want %d and few more", most, store.EntriesKept)
	}
	left, err := s.Entries(t.Context(), busy, store.EntriesKept)
	if err != nil || len(left) != store.EntriesKept || left[0].Reason != "1079" || left[store.EntriesKept-1].Reason != fmt.Sprint(1080-store.EntriesKept) {
		t.Errorf("%d entries are left, %v, want the newest", len(left), err)
	}
	if left, err := s.Entries(t.Context(), quiet, 100); err != nil || len(left) != 60 {
		t.Errorf("the other history has %d entries, %v, want 60", len(left), err)
	}
}

// histories fills the store with an existing integration, a deleted one, and a
// deleted one that a late actor has written to.
func histories(t *testing.T, s *sqlite.Store) (alive, deleted, late store.History) {
	t.Helper()
	h := func(id string, incarnation uint64) store.History {
		return store.History{Tenant: "a", Integration: id, Incarnation: incarnation}
	}
	alive, deleted, late = h("alive", 2), h("gone", 3), h("alive", 1)
	base := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	put(t, s, store.PutIntegration{Integration: &integration.Integration{Tenant: "a", ID: "alive", Incarnation: 2}})
	for n, life := range []store.History{alive, deleted, late} {
		for i := range 60 {
			draft := event.Draft{ID: fmt.Sprintf("6f1c4f0e-0000-4000-8000-%012d", i), Name: "a.b", Payload: []byte("{}")}
			at := base.Add(-time.Duration(i) * time.Second) // the first is the newest
			put(t, s, store.PutRejected{History: life, Rejected: &integration.Rejected{Event: draft.Stamp("a", at), CreatedAt: at}},
				store.AddEntry{History: life, Entry: integration.LogEntry{Reason: fmt.Sprint(i), CreatedAt: at}},
				store.AddEntry{History: life, Entry: integration.LogEntry{Reason: fmt.Sprint(i, "b"), CreatedAt: at}},
				store.AddEntry{History: life, Entry: integration.LogEntry{Reason: fmt.Sprint(i, "c"), CreatedAt: at}},
				store.AddEntry{History: life, Entry: integration.LogEntry{Reason: fmt.Sprint(i, "d"), CreatedAt: at}})
		}
		put(t, s, store.PutRejectedCount{History: life, Count: &integration.RejectedCount{Kept: n + 1}})
	}
	put(t, s, store.DeleteHistory{History: deleted})
	return alive, deleted, late
}

func put(t *testing.T, s *sqlite.Store, writes ...store.Write) {
	t.Helper()
	if err := s.Commit(t.Context(), writes...); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, db *sqlitedb.DB, table string) (n int) {
	t.Helper()
	if _, err := db.QueryRow(t.Context(), "SELECT count(*) FROM "+table, nil, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTrimHistories(t *testing.T) {
	s, db := open(t, t.TempDir())
	alive, deleted, late := histories(t, s)
	if n := count(t, db, "entries"); n != 3*240 {
		t.Fatalf("%d entries: a deletion itself must not free any", n)
	}
	before := db.Commits()
	n, err := s.TrimHistories(t.Context(), time.Time{}, 50)
	if want := 190 + 2*240 + 2*2*60 + 1; err != nil || n != want { // the deletion has deleted the count already
		t.Errorf("TrimHistories: %d, %v, want %d", n, err, want)
	}
	if steps := db.Commits() - before; steps < 10 {
		t.Errorf("it took %d transactions, want several small ones", steps)
	}
	for table, want := range map[string]int{"entries": 50, "rejected": 60, "rejected_list": 60, "rejected_counts": 1, "deleted_histories": 0} {
		if got := count(t, db, table); got != want {
			t.Errorf("%d %s are left, want %d", got, table, want)
		}
	}
	entries, err := s.Entries(t.Context(), alive, 1000)
	if err != nil || len(entries) != 50 || entries[0].Reason != "0d" || entries[49].Reason != "12c" {
		t.Errorf("left are %v, %v, want the newest 50", entries, err)
	}
	for _, h := range []store.History{deleted, late} {
		if entries, err := s.Entries(t.Context(), h, 1); err != nil || len(entries) > 0 {
			t.Errorf("of %v: %v, %v", h, entries, err)
		}
	}
	if n, err := s.TrimHistories(t.Context(), time.Time{}, 50); err != nil || n != 0 {
		t.Errorf("TrimHistories again: %d, %v, want 0", n, err)
	}
}

func TestTrimHistoriesLooksThingsUp(t *testing.T) {
	_, db := open(t, t.TempDir())
	for _, query := range sqlite.TrimQueries() {
		plan := explain(t, db, query)
		if strings.Contains(plan, "SCAN entries") || strings.Contains(plan, "SCAN rejected") || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("%s\n%s", query, plan)
		}
	}
}

// explain returns SQLite's plan for a query.
func explain(t *testing.T, db *sqlitedb.DB, query string) string {
	t.Helper()
	args := make([]any, strings.Count(query, "?"))
	for i := range args {
		args[i] = 1
	}
	rows, err := db.Query(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(detail + "\n")
	}
	return plan.String()
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
