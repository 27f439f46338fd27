package sqlite

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// stored returns the bytes that the segments of all tenants have.
func stored(t *testing.T, db *sqlitedb.DB) (bytes int64) {
	t.Helper()
	if _, err := db.QueryRow(t.Context(), "SELECT coalesce(sum(length(data)), 0) FROM segments", nil, &bytes); err != nil {
		t.Fatal(err)
	}
	return bytes
}

// What is counted is what is there: after publishes, failures, trims, a purge and
// restarts.
func TestTheBytesOfATenantAreCounted(t *testing.T) {
	at, dir := base, t.TempDir()
	l, db := open(t, dir, func() time.Time { return at })
	same := func(after string) {
		t.Helper()
		if a, b, all := l.Bytes("a"), l.Bytes("b"), stored(t, db); a+b != all || a < 0 || b < 0 {
			t.Errorf("after %s: %d + %d bytes are counted, %d are there", after, a, b, all)
		}
	}
	reopen := func() {
		t.Helper()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		l, db = open(t, dir, func() time.Time { return at })
		same("a restart")
	}
	same("nothing")
	for i := range 300 {
		at = base.Add(time.Duration(i) * time.Second)
		if err := l.Publish(t.Context(), []string{"a", "b"}[i%2], event.Lanes{Each: 3}, drafts(10*i, 3, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	same("publishes")
	_ = loseGroup(t, db, func() error { return l.Publish(t.Context(), "a", event.Lanes{Each: 1}, drafts(9000, 3, 1000)) })
	same("a lost group")
	reopen()
	for _, seconds := range []int{100, 101, 290, 298} {
		if _, err := l.Trim(t.Context(), base.Add(time.Duration(seconds)*time.Second)); err != nil {
			t.Fatal(err)
		}
		same("a trim")
	}
	reopen()
	publish(t, l, "a", drafts(9100, 50, 5000))
	publish(t, l, "b", drafts(9200, 3, 1000))
	same("publishes after a trim")
	other := l.Bytes("b")
	if _, err := l.Purge(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	same("a purge")
	if l.Bytes("a") != 0 || l.Bytes("b") != other || other == 0 {
		t.Errorf("after a purge of a: a has %d bytes, b %d, and had %d", l.Bytes("a"), l.Bytes("b"), other)
	}
	reopen()
	if _, err := l.Trim(t.Context(), at.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	same("a trim of everything")
	if left := stored(t, db); left != 0 {
		t.Errorf("%d bytes are left", left)
	}
	reopen()
	publish(t, l, "a", drafts(9300, 1, 10))
	same("a publish after that")
}
