package sqlite

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

func TestAfterCountsTheSameOnceReopened(t *testing.T) {
	dir := t.TempDir()
	p := event.Partition{Tenant: "acme"}
	l, db := open(t, dir, fixed(base))
	publish(t, l, "acme", drafts(0, 3, 100))
	publish(t, l, "acme", drafts(3, 4, 100))
	want, err := l.After(t.Context(), p, 1)
	if err != nil || want.Events != 4 {
		t.Fatalf("%+v, %v", want, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l, _ = open(t, dir, fixed(base.Add(time.Hour)))
	if got, err := l.After(t.Context(), p, 1); err != nil || got != want {
		t.Errorf("after a restart: %+v, %v, want %+v", got, err, want)
	}
}

// Segments of the first release have no count of bytes: they are estimated.
func TestAfterEstimatesTheBytesOfOldSegments(t *testing.T) {
	l, db := open(t, t.TempDir(), fixed(base))
	for range 300 {
		publish(t, l, "acme", drafts(0, 2, 100))
	}
	p := event.Partition{Tenant: "acme"}
	want := make(map[uint64]eventlog.Rest)
	for _, after := range []uint64{0, 150, 299} {
		rest, err := l.After(t.Context(), p, after)
		if err != nil || rest.Bytes == 0 {
			t.Fatalf("%+v, %v", rest, err)
		}
		want[after] = rest
	}
	done := make(chan error, 1)
	if err := db.Submit(t.Context(), &sqlitedb.Op{
		Run: func(tx *sqlitedb.Tx) error {
			_, err := tx.Exec("UPDATE segments SET appended_bytes = 0 WHERE id & 1023 < 300")
			return err
		},
		Done: func(err error) { done <- err },
	}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for after, want := range want {
		if got, err := l.After(t.Context(), p, after); err != nil || got != want {
			t.Errorf("after %d: %+v, %v, want %+v", after, got, err, want)
		}
	}
}
