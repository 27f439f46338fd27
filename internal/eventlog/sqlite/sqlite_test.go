package sqlite

import (
	"context"
	"testing"
	"time"

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
	return logtest.Harness{Log: l, Trim: func(ctx context.Context, before time.Time) error { _, err := l.Trim(ctx, before); return err }}
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

func TestPublish(t *testing.T) {
	logtest.RunPublish(t, func(t *testing.T, now func() time.Time) logtest.Publisher {
		l, _ := open(t, t.TempDir(), now)
		return l
	})
}
