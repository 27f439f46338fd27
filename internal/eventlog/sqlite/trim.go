package sqlite

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// A step of a trim deletes at most so many rows of about so many bytes, so that
// no writer waits long for one.
const (
	trimRows  = 200
	trimBytes = 4 << 20
)

// sourceLife is how long a source is remembered: twice what the port promises.
const sourceLife = 48 * time.Hour

// Trim takes the segments out of the log that are older than the given time as
// a whole, and returns how many they were, also after an error. Their room in
// the file is used again; the file does not shrink.
func (l *Log) Trim(ctx context.Context, before time.Time) (deleted int, err error) {
	for p := range l.Ends() {
		n, err := l.trimPartition(ctx, p, ceil(before))
		deleted += n
		if err != nil {
			return deleted, err
		}
	}
	return deleted, l.trimSources(ctx)
}

func (l *Log) trimPartition(ctx context.Context, p event.Partition, ms int64) (deleted int, err error) {
	s, _ := l.committed(p)
	var oldest, last, size int64
	found, err := l.db.QueryRow(ctx, "SELECT id, last_ms, length(data) FROM segments WHERE id > ? AND id <= ? ORDER BY id LIMIT 1",
		[]any{s.rowOf(0), s.rowOf(s.end)}, &oldest, &last, &size)
	if err != nil || !found || last >= ms || size == 0 && numberOf(oldest) == s.end {
		return 0, err
	}
	through, err := l.seek(ctx, s, ms)
	if err != nil || through == 0 {
		return 0, err
	}
	l.mu.Lock()
	l.recent.drop(l.partitions[p], through)
	l.mu.Unlock()
	for {
		n, err := l.trimStep(ctx, s, min(through, s.end-1))
		deleted += n
		if err != nil {
			return deleted, err
		}
		if n == 0 {
			break
		}
	}
	if through < s.end {
		return deleted, nil
	}
	// The last row stays, without its data. If it is no longer the last, the next
	// trim deletes it.
	err = l.db.Write(ctx, 0, func(tx *sqlitedb.Tx) error {
		n, err := tx.Exec("UPDATE segments SET data = x'' WHERE id = ? AND length(data) > 0", s.rowOf(s.end))
		deleted += int(n)
		return err
	})
	return deleted, err
}

// trimStep deletes the first few rows of a partition, up to the given number.
func (l *Log) trimStep(ctx context.Context, s state, through uint64) (int, error) {
	rows, err := l.db.Query(ctx, "SELECT id, length(data) FROM segments WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
		s.rowOf(0), s.rowOf(through), trimRows)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var upTo, size, bytes int64
	for bytes < trimBytes && rows.Next() {
		if err := rows.Scan(&upTo, &size); err != nil {
			return 0, l.db.Problem(err)
		}
		bytes += size
	}
	if err := rows.Err(); err != nil || upTo == 0 {
		return 0, l.db.Problem(err)
	}
	if err := rows.Close(); err != nil {
		return 0, l.db.Problem(err)
	}
	var deleted int64
	err = l.db.Write(ctx, 0, func(tx *sqlitedb.Tx) (err error) {
		deleted, err = tx.Exec("DELETE FROM segments WHERE id > ? AND id <= ?", s.rowOf(0), upTo)
		return err
	})
	return int(deleted), err
}

func (l *Log) trimSources(ctx context.Context) error {
	const query = "DELETE FROM sources WHERE (partition, source) IN (SELECT partition, source FROM sources WHERE appended_ms < ? LIMIT ?)"
	for {
		var n int64
		err := l.db.Write(ctx, 0, func(tx *sqlitedb.Tx) (err error) {
			n, err = tx.Exec(query, l.now().Add(-sourceLife).UnixMilli(), trimRows)
			return err
		})
		if err != nil || n < trimRows {
			return err
		}
	}
}
