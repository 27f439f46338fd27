package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// The limits of one step of a trim: its rows, and approximately their bytes. Small steps
// do not block writers for long.
const (
	trimRows  = 200
	trimBytes = 1 << 20
)

// sourceLife is how long a checkpoint is kept: twice what the port guarantees.
const sourceLife = 48 * time.Hour

// Trim deletes the segments whose events are all older than the given time. It returns
// how many it deleted, also after an error.
func (l *Log) Trim(ctx context.Context, before time.Time) (deleted int, err error) {
	for p := range l.Ends() {
		n, err := l.trimPartition(ctx, p, ceil(before))
		deleted += n
		if err != nil {
			return deleted, err
		}
	}
	return deleted, errors.Join(l.trimSources(ctx), l.trimKeys(ctx))
}

func (l *Log) trimPartition(ctx context.Context, p event.Partition, ms int64) (deleted int, err error) {
	var known state
	var upTo uint64
	err = l.inTurn(ctx, p, func(s state) (found bool, err error) {
		known = s
		upTo, found, err = l.expired(ctx, s, ms)
		return found && upTo < s.end, err // else those that are not in their places may be as old
	})
	if err != nil || upTo == 0 {
		return 0, err
	}
	return l.trimTo(ctx, p, known, upTo)
}

// expired returns the number up to which the segments' events are older than the given
// time, 0 if there is nothing to delete, and whether there are segments at all.
func (l *Log) expired(ctx context.Context, s state, ms int64) (upTo uint64, found bool, err error) {
	var oldest, last, size int64
	found, err = l.db.QueryRow(ctx, "SELECT id, last_ms, length(data) FROM segments WHERE id > ? AND id <= ? ORDER BY id LIMIT 1",
		[]any{s.rowOf(0), s.rowOf(s.end)}, &oldest, &last, &size)
	found = found && (size > 0 || numberOf(oldest) < s.end)
	if err != nil || !found || last >= ms {
		return 0, found, err
	}
	upTo, err = l.seek(ctx, s, ms)
	return upTo, true, err
}

// Purge deletes all segments of a tenant that are in the log now, in the steps of a
// trim, and the tenant's idempotency keys. It returns how many segments it deleted, also
// after an error.
func (l *Log) Purge(ctx context.Context, tenant string) (deleted int, err error) {
	for p := range l.Ends() {
		if p.Tenant != tenant {
			continue
		}
		s, err := l.settled(ctx, p)
		if err != nil {
			return deleted, err
		}
		n, err := l.trimTo(ctx, p, s, s.end)
		deleted += n
		if err != nil {
			return deleted, err
		}
	}
	return deleted, l.purgeKeys(ctx, tenant)
}

// trimTo deletes the segments of a partition up to the given number. The last one of
// the partition keeps its row, without its data, for its number; a later trim deletes
// it once it is no longer the last.
func (l *Log) trimTo(ctx context.Context, p event.Partition, s state, upTo uint64) (deleted int, err error) {
	l.mu.Lock()
	l.recent.drop(l.partitions[p], upTo)
	l.mu.Unlock()
	for {
		last, err := l.stepEnd(ctx, s, min(upTo, s.end-1))
		if err != nil {
			return deleted, err
		}
		if last == 0 {
			break
		}
		n, err := l.free(ctx, p, s, "DELETE FROM segments WHERE id > ? AND id <= ?", s.rowOf(0), last)
		deleted += n
		if err != nil {
			return deleted, err
		}
	}
	if upTo < s.end {
		return deleted, nil
	}
	n, err := l.free(ctx, p, s, "UPDATE segments SET data = x'' WHERE id > ? AND id <= ? AND length(data) > 0", s.rowOf(s.end-1), s.rowOf(s.end))
	return deleted + n, err
}

// stepEnd returns the last of the rows that the next step of a trim deletes, at most up
// to the given number, 0 if there are none.
func (l *Log) stepEnd(ctx context.Context, s state, limit uint64) (last int64, err error) {
	rows, err := l.db.Query(ctx, "SELECT id, length(data) FROM segments WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
		s.rowOf(0), s.rowOf(limit), trimRows)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var size, bytes int64
	for bytes < trimBytes && rows.Next() {
		if err := rows.Scan(&last, &size); err != nil {
			return 0, l.db.Problem(err)
		}
		bytes += size
	}
	return last, l.db.Problem(rows.Err())
}

// free frees the data of the segments after one row, up to another, and counts its bytes
// as trimmed, in one transaction. It returns how many segments there were.
func (l *Log) free(ctx context.Context, p event.Partition, s state, statement string, after, upTo int64) (int, error) {
	var freed, rows int64
	turn := sqlitedb.Turn{Tenant: p.Tenant, Class: sqlitedb.Maintenance, Bytes: trimBytes / 4} // deleting writes less than what it deletes
	// A step that has begun is waited for, so that the count in memory is that on disk.
	err := l.db.Write(context.WithoutCancel(ctx), turn, func(tx *sqlitedb.Tx) error {
		_, err := tx.QueryRow("SELECT coalesce(sum(length(data)), 0) FROM segments WHERE id > ? AND id <= ?", []any{after, upTo}, &freed)
		if err != nil {
			return err
		}
		if rows, err = tx.Exec(statement, after, upTo); err != nil || freed == 0 {
			return err
		}
		_, err = tx.Exec("UPDATE partitions SET trimmed_bytes = trimmed_bytes + ? WHERE id = ?", freed, s.id)
		return err
	})
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	l.bytes[p.Tenant] -= freed
	l.mu.Unlock()
	return int(rows), nil
}

func (l *Log) trimSources(ctx context.Context) error {
	return l.deleteAll(ctx, "DELETE FROM sources WHERE (partition, source) IN (SELECT partition, source FROM sources WHERE appended_ms < ? LIMIT ?)",
		l.now().Add(-sourceLife).UnixMilli())
}
