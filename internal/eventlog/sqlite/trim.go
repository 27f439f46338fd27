package sqlite

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// The limits of one step of a trim: its rows, and approximately their bytes. Small steps
// do not block writers for long.
const (
	trimRows  = 200
	trimBytes = 4 << 20
)

// sourceLife is how long a checkpoint is kept: twice what the port guarantees.
const sourceLife = 48 * time.Hour

// Trim deletes the segments whose events are all older than the given time. It returns
// how many it deleted, also after an error. The database file reuses their space but
// does not shrink.
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
	upTo, err := l.seek(ctx, s, ms)
	if err != nil || upTo == 0 {
		return 0, err
	}
	l.mu.Lock()
	l.recent.drop(l.partitions[p], upTo)
	l.mu.Unlock()
	for {
		n, err := l.trimStep(ctx, p.Tenant, s, min(upTo, s.end-1))
		deleted += n
		if err != nil {
			return deleted, err
		}
		if n == 0 {
			break
		}
	}
	if upTo < s.end {
		return deleted, nil
	}
	// Keep the last row, without its data, for its number. A later trim deletes it once
	// it is no longer the last.
	err = l.db.Write(ctx, sqlitedb.Turn{Tenant: p.Tenant, Class: sqlitedb.Maintenance}, func(tx *sqlitedb.Tx) error {
		n, err := tx.Exec("UPDATE segments SET data = x'' WHERE id = ? AND length(data) > 0", s.rowOf(s.end))
		deleted += int(n)
		return err
	})
	return deleted, err
}

// trimStep deletes the first rows of a partition, at most up to the given number.
func (l *Log) trimStep(ctx context.Context, tenant string, s state, limit uint64) (int, error) {
	rows, err := l.db.Query(ctx, "SELECT id, length(data) FROM segments WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
		s.rowOf(0), s.rowOf(limit), trimRows)
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
	err = l.db.Write(ctx, sqlitedb.Turn{Tenant: tenant, Class: sqlitedb.Maintenance, Bytes: int(bytes)}, func(tx *sqlitedb.Tx) (err error) {
		deleted, err = tx.Exec("DELETE FROM segments WHERE id > ? AND id <= ?", s.rowOf(0), upTo)
		return err
	})
	return int(deleted), err
}

func (l *Log) trimSources(ctx context.Context) error {
	const query = "DELETE FROM sources WHERE (partition, source) IN (SELECT partition, source FROM sources WHERE appended_ms < ? LIMIT ?)"
	for {
		var n int64
		err := l.db.Write(ctx, sqlitedb.Turn{Class: sqlitedb.Maintenance}, func(tx *sqlitedb.Tx) (err error) {
			n, err = tx.Exec(query, l.now().Add(-sourceLife).UnixMilli(), trimRows)
			return err
		})
		if err != nil || n < trimRows {
			return err
		}
	}
}
