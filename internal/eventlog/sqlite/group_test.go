package sqlite

import (
	"context"
	"database/sql"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// After a group fails before a publish in it ran, the next publish is written. At all
// times, Ready returns what a publish would.
func TestAFailedGroupIsNotTheNextOnes(t *testing.T) {
	for name, fail := range map[string]func(t *testing.T, db *sqlitedb.DB, dir string) (heal func()){
		"write lock held by another process": holdWriteLock,
		"disk full for another operation":    fillDisk,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l, db := open(t, dir, fixed(base))
			publish(t, l, "before", drafts(0, 1, 1))
			heal := fail(t, db, dir)
			const callers = 200
			errs := make([]error, callers)
			var wg sync.WaitGroup
			for i := range callers {
				wg.Go(func() { errs[i] = l.Publish(t.Context(), "a", event.Lanes{Each: 1}, drafts(1000+i, 1, 4<<10)) })
			}
			wg.Wait()
			for i, err := range errs {
				if problem.CodeOf(err) != problem.Unavailable {
					t.Fatalf("caller %d got %v, want unavailable", i, err)
				}
			}
			if err := l.Ready(t.Context()); problem.CodeOf(err) != problem.Unavailable {
				t.Errorf("Ready is %v while no publish is written", err)
			}
			heal()
			if err := l.Ready(t.Context()); err != nil {
				t.Errorf("Ready is %v, and the cause is gone", err)
			}
			for i := range callers {
				wg.Go(func() { errs[i] = l.Publish(t.Context(), "b", event.Lanes{Each: 1}, drafts(2000+i, 1, 4<<10)) })
			}
			wg.Wait()
			for i, err := range errs {
				if err != nil {
					t.Fatalf("caller %d got %v, and the cause is gone", i, err)
				}
			}
			if a, b := len(ids(t, l, "a")), len(ids(t, l, "b")); a != 0 || b != callers {
				t.Errorf("%d refused and %d accepted events are in the log, want 0 and %d", a, b, callers)
			}
		})
	}
}

// holdWriteLock is what a backup or an operator's shell does to the file.
func holdWriteLock(t *testing.T, db *sqlitedb.DB, dir string) (heal func()) {
	t.Helper()
	pragma(t, db, "busy_timeout = 20")
	other, err := sql.Open("sqlite", filepath.Join(dir, "sluice.db"))
	if err != nil {
		t.Fatal(err)
	}
	other.SetMaxOpenConns(1)
	if _, err := other.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// fillDisk fails an operation of another caller in every group that is committed until
// it heals: SQLite then rolls back all of the group.
func fillDisk(t *testing.T, db *sqlitedb.DB, _ string) (heal func()) {
	t.Helper()
	limit(t, db, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	var again func(error)
	again = func(error) { // it queues before the next group is taken
		op := &sqlitedb.Op{Turn: sqlitedb.Turn{Tenant: "full", Class: sqlitedb.Urgent}, Done: again, Run: func(tx *sqlitedb.Tx) error {
			_, err := tx.Exec("INSERT INTO segments (id, first_ms, last_ms, events, before, data) VALUES (-2, 0, 0, 0, 0, zeroblob(1000000))")
			return err
		}}
		if db.Submit(ctx, op) != nil {
			close(ended)
		}
	}
	again(nil)
	return func() {
		cancel()
		<-ended
		limit(t, db, 1<<30)
	}
}
