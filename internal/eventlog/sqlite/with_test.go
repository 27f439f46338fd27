package sqlite

import (
	"errors"
	"testing"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// What else a transaction does is there with its events, or neither is.
func TestPublishWithIsOneTransaction(t *testing.T) {
	l, db := open(t, t.TempDir(), fixed(base))
	execute := func(tx *sqlitedb.Tx, statement string) error {
		_, err := tx.Exec(statement)
		return err
	}
	mark := func(tx *sqlitedb.Tx) error { return execute(tx, "INSERT INTO marks VALUES (1)") }
	err := db.Write(t.Context(), sqlitedb.Turn{}, func(tx *sqlitedb.Tx) error { return execute(tx, "CREATE TABLE marks (n INTEGER)") })
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	var events int
	for _, c := range []struct {
		name           string
		with           With
		want           error
		events, marked int
	}{
		{"both", func(tx *sqlitedb.Tx) (bool, error) { return true, mark(tx) }, nil, 2, 1},
		{"neither", func(*sqlitedb.Tx) (bool, error) { return false, nil }, nil, 2, 1},
		{"neither, after an error", func(tx *sqlitedb.Tx) (bool, error) { return true, errors.Join(mark(tx), broken) }, broken, 2, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := l.PublishWith(t.Context(), "a", event.Lanes{Each: 1}, drafts(events, 2, 10), c.with)
			events += 2
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			n, marked := 0, 0
			for _, s := range content(t, l, event.Partition{Tenant: "a"}) {
				n += len(s.Events)
			}
			if _, err := db.QueryRow(t.Context(), "SELECT count(*) FROM marks", nil, &marked); err != nil || n != c.events || marked != c.marked {
				t.Errorf("%d events and %d marks, %v, want %d and %d", n, marked, err, c.events, c.marked)
			}
		})
	}
	err = l.PublishWith(t.Context(), "a", event.Lanes{Each: 1}, drafts(100, 300, 300), nil)
	if problem.CodeOf(err) != problem.Internal {
		t.Errorf("more than a transaction takes: %v", err)
	}
}
