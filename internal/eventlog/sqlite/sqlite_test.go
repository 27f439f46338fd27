package sqlite

import (
	"context"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog/logtest"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

func open(t testing.TB, dir string, now func() time.Time) (*Log, *sqlitedb.DB) {
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
	l, err := Open(t.Context(), db, now)
	if err != nil {
		t.Fatal(err)
	}
	return l, db
}

func harness(l *Log) logtest.Harness {
	return logtest.Harness{
		Log:    l,
		Trim:   func(ctx context.Context, before time.Time) error { _, err := l.Trim(ctx, before); return err },
		Damage: l.damage,
	}
}

// damage changes a byte in the middle of a stored segment.
func (l *Log) damage(t *testing.T, p event.Partition, number uint64) {
	t.Helper()
	l.rewrite(t, p, number, func(data []byte) { data[len(data)/2] ^= 1 })
}

// rewrite changes the bytes of a stored segment, and forgets what is in memory but for
// arrivals, which are moved from there.
func (l *Log) rewrite(t *testing.T, p event.Partition, number uint64, change func(data []byte)) {
	t.Helper()
	err := l.db.Write(t.Context(), sqlitedb.Turn{Tenant: p.Tenant}, func(tx *sqlitedb.Tx) error {
		s, _ := l.committed(p)
		for _, a := range l.arrivals.committed {
			if a.row == s.rowOf(number) {
				change(a.data)
			}
		}
		var data []byte
		found, err := tx.QueryRow("SELECT data FROM segments WHERE id = ?", []any{s.rowOf(number)}, &data)
		if err != nil || !found {
			return err
		}
		change(data)
		_, err = tx.Exec("UPDATE segments SET data = ? WHERE id = ?", data, s.rowOf(number))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, part := range l.partitions {
		part.recent = nil
	}
}

func TestLog(t *testing.T) {
	logtest.Run(t, func(t *testing.T, now func() time.Time) logtest.Harness {
		l, _ := open(t, t.TempDir(), now)
		return harness(l)
	})
}

// The same without the segments in memory, read from the database.
func TestLogFromDisk(t *testing.T) {
	logtest.Run(t, func(t *testing.T, now func() time.Time) logtest.Harness {
		l, _ := open(t, t.TempDir(), now)
		l.recent.bytes = recentBytes // full, so that nothing is kept
		return harness(l)
	})
}

// The same with every segment in arrivals first, in memory or not.
func TestLogOfArrivals(t *testing.T) {
	for name, kept := range map[string]int{"in memory": 0, "from disk": recentBytes} {
		t.Run(name, func(t *testing.T) {
			logtest.Run(t, func(t *testing.T, now func() time.Time) logtest.Harness {
				l, _ := open(t, t.TempDir(), now)
				l.recent.bytes = kept
				l.manyPartitions = 1
				return harness(l)
			})
		})
	}
}

func TestPublish(t *testing.T) {
	logtest.RunPublish(t, func(t *testing.T, now func() time.Time) logtest.Publisher {
		l, _ := open(t, t.TempDir(), now)
		return l
	})
}
