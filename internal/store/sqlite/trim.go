package sqlite

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// trimRows is how many rows a step of a trim deletes, so that no writer waits
// long for one.
const trimRows = 200

// TrimEntries deletes the log entries created before the given time, a few at a
// time, and returns how many they were, also after an error.
func (s *Store) TrimEntries(ctx context.Context, before time.Time) (deleted int, err error) {
	const query = "DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE created_at < ? ORDER BY created_at LIMIT ?)"
	for {
		var n int64
		err := s.db.Write(ctx, 0, func(tx *sqlitedb.Tx) (err error) {
			n, err = tx.Exec(query, nanos(before), trimRows)
			return err
		})
		if err != nil {
			return deleted, err
		}
		deleted += int(n)
		if n < trimRows {
			return deleted, nil
		}
	}
}
