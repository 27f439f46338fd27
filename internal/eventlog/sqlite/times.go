package sqlite

import (
	"context"
	"sort"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// Times in the log are whole milliseconds.

func timeOf(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// ceil returns t in ms since 1970, rounded up.
func ceil(t time.Time) int64 {
	ms := t.UnixMilli()
	if timeOf(ms).Before(t) {
		ms++
	}
	return ms
}

// Seek implements eventlog.Log. Its result is exact.
func (l *Log) Seek(ctx context.Context, p event.Partition, t time.Time) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, l.db.Problem(err)
	}
	return l.find(ctx, p, func(s state) (uint64, error) { return l.seek(ctx, s, ceil(t)) })
}

// find returns the number that a search finds.
func (l *Log) find(ctx context.Context, p event.Partition, search func(s state) (uint64, error)) (number uint64, err error) {
	err = l.inTurn(ctx, p, func(s state) (bool, error) {
		number, err = search(s)
		return s.ordered && number < s.end, err
	})
	return number, err
}

// seek returns the number before the first segment with an event at or after
// the given time, or the end if there is none.
func (l *Log) seek(ctx context.Context, s state, ms int64) (uint64, error) {
	if !s.ordered {
		first, err := l.number(ctx, "SELECT min(id) FROM segments WHERE id > ? AND id <= ? AND last_ms >= ? AND length(data) > 0",
			s.rowOf(0), s.rowOf(s.end), ms)
		if err != nil || first == 0 {
			return s.end, err
		}
		return first - 1, nil
	}
	return l.search(ctx, s, func(_, last int64) bool { return last >= ms })
}

// OffsetForTime implements eventlog.Log. The offset is final once the clock is past t:
// everything published from then on is stamped later, even if the clock is set back or
// the process restarts.
func (l *Log) OffsetForTime(ctx context.Context, p event.Partition, t time.Time) (number uint64, final bool, err error) {
	if err := ctx.Err(); err != nil {
		return 0, false, l.db.Problem(err)
	}
	ms := t.UnixMilli() // rounded down; event times are whole milliseconds
	if final = l.now().After(t); final {
		// This waits for the publishes that are stamped but not committed.
		if err := l.raise(ctx, p.Tenant, ms+1); err != nil {
			return 0, false, err
		}
	}
	number, err = l.find(ctx, p, func(s state) (uint64, error) { return l.lastUpTo(ctx, s, ms) })
	return number, final, err
}

// raise makes every later stamp at least the given time, even after a restart.
func (l *Log) raise(ctx context.Context, tenant string, floor int64) error {
	outcome := make(chan error, 1)
	op := &sqlitedb.Op{
		Turn: sqlitedb.Turn{Tenant: tenant},
		Run: func(tx *sqlitedb.Tx) error {
			l.last = max(l.last, floor) // for the next stamps; harmless if the commit fails
			if l.floor >= floor {
				return nil
			}
			_, err := tx.Exec("INSERT INTO stamps (id, floor_ms) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET floor_ms = max(floor_ms, excluded.floor_ms)", floor)
			return err
		},
		Done: func(err error) {
			if err == nil {
				l.floor = max(l.floor, floor)
			}
			outcome <- err
		},
	}
	if err := l.db.Submit(ctx, op); err != nil {
		return err
	}
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		return l.db.Problem(ctx.Err())
	}
}

// ResetStamps makes the database at hand one whose newest stamp is now, after events were
// published with a clock that was ahead, or after it was off for long. The events keep
// their published_at, and leave the log when their retention from now on has passed. It
// returns how many segments had later ones.
func ResetStamps(ctx context.Context, db *sqlitedb.DB, now time.Time) (later int, err error) {
	done := make(chan error, 1)
	ms := now.UnixMilli()
	op := &sqlitedb.Op{
		Run: func(tx *sqlitedb.Tx) error {
			if _, err := tx.QueryRow("SELECT count(*) FROM segments WHERE last_ms > ?", []any{ms}, &later); err != nil {
				return err
			}
			// As the stamps of the rows stay in the order of their numbers, they can be searched.
			if _, err := tx.Exec("UPDATE segments SET first_ms = min(first_ms, ?), last_ms = ? WHERE last_ms > ?", ms, ms, ms); err != nil {
				return err
			}
			n, err := resetArrivals(tx, ms)
			if err != nil {
				return err
			}
			later += n
			_, err = tx.Exec("INSERT INTO stamps (id, floor_ms) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET floor_ms = excluded.floor_ms", ms)
			return err
		},
		Done: func(err error) { done <- err },
	}
	if err := db.Submit(ctx, op); err != nil {
		return 0, err
	}
	return later, <-done
}

// resetArrivals is ResetStamps of the table arrivals.
func resetArrivals(tx *sqlitedb.Tx, ms int64) (later int, err error) {
	for seq := int64(0); ; {
		var data []byte
		found, err := tx.QueryRow(nextBatch, []any{seq}, &seq, &data)
		if err != nil || !found {
			return later, err
		}
		list, err := parseBatch(data)
		if err != nil {
			return later, damagedBatch(seq, err)
		}
		size := 0
		for i := range list {
			a := &list[i]
			size += a.size
			if a.lastMs > ms {
				a.firstMs, a.lastMs = min(a.firstMs, ms), ms
				later++
			}
		}
		if _, err := tx.Exec("UPDATE arrivals SET data = ? WHERE seq = ?", appendDirectory(data[:size], list), seq); err != nil {
			return later, err
		}
	}
}

// lastUpTo returns the number of the last segment with an event at or before the given
// time, or that of the last trimmed segment if there is none.
func (l *Log) lastUpTo(ctx context.Context, s state, ms int64) (uint64, error) {
	if s.ordered {
		return l.search(ctx, s, func(first, _ int64) bool { return first > ms })
	}
	const in = " FROM segments WHERE id > ? AND id <= ? AND length(data) > 0"
	last, err := l.number(ctx, "SELECT max(id)"+in+" AND first_ms <= ?", s.rowOf(0), s.rowOf(s.end), ms)
	if err != nil || last > 0 {
		return last, err
	}
	first, err := l.number(ctx, "SELECT min(id)"+in, s.rowOf(0), s.rowOf(s.end))
	if err != nil || first == 0 {
		return s.end, err
	}
	return first - 1, nil
}

// number returns the number of the segment whose id is the result of the query, 0 if it
// is NULL.
func (l *Log) number(ctx context.Context, query string, args ...any) (uint64, error) {
	var row *int64
	_, err := l.db.QueryRow(ctx, query, args, &row)
	if err != nil || row == nil {
		return 0, err
	}
	return numberOf(*row), nil
}

// search returns the number before the first segment that matches, by binary search: if
// a segment matches, so must those after it. Trimmed segments do not match.
func (l *Log) search(ctx context.Context, s state, matches func(firstMs, lastMs int64) bool) (uint64, error) {
	var failed error
	n := sort.Search(int(s.end), func(i int) bool {
		if failed != nil {
			return true
		}
		var first, last int64
		found, err := l.db.QueryRow(ctx, "SELECT first_ms, last_ms FROM segments WHERE id = ? AND length(data) > 0",
			[]any{s.rowOf(uint64(i + 1))}, &first, &last)
		failed = err
		return found && matches(first, last)
	})
	return uint64(n), failed
}
