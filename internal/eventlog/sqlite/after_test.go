package sqlite

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

func TestAfterCountsWhatIsLeft(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	p := event.Partition{Tenant: "acme"}
	published := func(i int) time.Time { return now.Add(time.Duration(i) * time.Hour) }
	open := func() (*sqlitedb.DB, *Log) {
		db, err := sqlitedb.Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		l, err := Open(t.Context(), db, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		return db, l
	}
	check := func(l *Log, after uint64, events int, oldest time.Time) {
		t.Helper()
		n, first, err := l.After(t.Context(), p, after)
		if err != nil || n != events || !first.Equal(oldest) {
			t.Errorf("After(%d) = %d, %v, %v; want %d, %v", after, n, first, err, events, oldest)
		}
	}
	db, l := open()
	check(l, 0, 0, time.Time{})
	for i := range 4 { // segments of 1, 2, 3 and 4 events
		var events []event.Event
		for range i + 1 {
			events = append(events, event.Draft{ID: "0", Name: "a.b", Payload: []byte("{}")}.Stamp("acme", published(i)))
		}
		if _, err := l.Append(t.Context(), p, "", eventlog.Unnamed(events...)); err != nil {
			t.Fatal(err)
		}
	}
	check(l, 0, 10, published(0))
	check(l, 2, 7, published(2))
	check(l, 4, 0, time.Time{})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db, l = open()
	defer db.Close()
	check(l, 1, 9, published(1))
	if _, err := l.Trim(t.Context(), published(2)); err != nil {
		t.Fatal(err)
	}
	check(l, 0, 7, published(2))
	if _, err := l.Trim(t.Context(), published(9)); err != nil {
		t.Fatal(err)
	}
	check(l, 0, 0, time.Time{})
}
