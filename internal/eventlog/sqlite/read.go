package sqlite

import (
	"context"
	"errors"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// Read implements eventlog.Log. It may exceed maxBytes by the last segment.
func (l *Log) Read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]eventlog.Segment, error) {
	if err := ctx.Err(); err != nil {
		return nil, l.db.Problem(err)
	}
	s, segments := l.inMemory(p, after, maxBytes)
	if segments != nil || after >= s.end {
		return segments, nil
	}
	err := l.inTurn(ctx, p, func(s state) (found bool, err error) {
		segments, err = l.stored(ctx, p, s, after, maxBytes)
		return len(segments) > 0, err
	})
	return segments, err
}

// stored is Read from the disk.
func (l *Log) stored(ctx context.Context, p event.Partition, s state, after uint64, maxBytes int) ([]eventlog.Segment, error) {
	segments, err := l.fromDisk(ctx, p, s, after, maxBytes)
	switch {
	case len(segments) > 0:
		return l.confirmAll(ctx, p, s, segments) // the next read has the error
	case sqlitedb.Corrupt(err):
		return l.unreadable(ctx, p, s, after, err)
	}
	return nil, err
}

// unreadable returns the segment after the given number as damaged, if the database can
// read its row but not its events. Otherwise more than that segment is damaged, and the
// result is err.
func (l *Log) unreadable(ctx context.Context, p event.Partition, s state, after uint64, err error) ([]eventlog.Segment, error) {
	var row, first, last int64
	var count int
	found, failed := l.db.QueryRow(ctx, "SELECT id, events, first_ms, last_ms FROM segments WHERE id > ? AND id <= ? AND length(data) > 0 ORDER BY id LIMIT 1",
		[]any{s.rowOf(after), s.rowOf(s.end)}, &row, &count, &first, &last)
	if !found || failed != nil {
		return nil, err
	}
	seg := eventlog.Segment{Number: numberOf(row)}
	seg.Damage = &eventlog.Damage{Err: damaged(p, seg.Number, err), Events: count, First: timeOf(first), Last: timeOf(last)}
	return l.confirmAll(ctx, p, s, []eventlog.Segment{seg})
}

// confirmAll confirms the damage of each segment, up to the first that cannot be read for
// now. It returns an error only if that is the first.
func (l *Log) confirmAll(ctx context.Context, p event.Partition, s state, segments []eventlog.Segment) ([]eventlog.Segment, error) {
	for i := range segments {
		if segments[i].Damage == nil {
			continue
		}
		if err := l.confirm(ctx, p, s, &segments[i]); err != nil && i == 0 {
			return nil, err
		} else if err != nil {
			return segments[:i], nil
		}
	}
	return segments, nil
}

// confirm reads a segment that looks damaged once more, as what is judged so is never sent:
// one bad read is no damage. It reads past the caches, which may have what was read badly.
func (l *Log) confirm(ctx context.Context, p event.Partition, s state, seg *eventlog.Segment) error {
	var data []byte
	found, err := l.db.QueryRowAnew(ctx, "SELECT data FROM segments WHERE id = ? AND length(data) > 0", []any{s.rowOf(seg.Number)}, &data)
	switch {
	case sqlitedb.Corrupt(err):
		return nil
	case err != nil:
		return err
	case !found:
		return problem.New(problem.Unavailable, "Segment %d was deleted while it was read. Try again.", seg.Number)
	}
	events, err := eventlog.DecodeSegment(p.Tenant, data)
	if errors.Is(err, eventlog.ErrDamaged) {
		return nil
	}
	if err != nil {
		return damaged(p, seg.Number, err)
	}
	seg.Events, seg.Damage = events, nil
	return nil
}

// fromDisk returns the segments after the given number, up to the first that cannot be
// read for now, and its error.
func (l *Log) fromDisk(ctx context.Context, p event.Partition, s state, after uint64, maxBytes int) (segments []eventlog.Segment, err error) {
	rows, err := l.db.Query(ctx, "SELECT id, data, events, first_ms, last_ms FROM segments WHERE id > ? AND id <= ? AND length(data) > 0 ORDER BY id",
		s.rowOf(after), s.rowOf(s.end))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for size := 0; (size == 0 || size < maxBytes) && rows.Next(); {
		var row, first, last int64
		var data []byte
		var count int
		if err := rows.Scan(&row, &data, &count, &first, &last); err != nil {
			return segments, l.db.Problem(err)
		}
		seg := eventlog.Segment{Number: numberOf(row)}
		seg.Events, err = eventlog.DecodeSegment(p.Tenant, data)
		switch {
		case errors.Is(err, eventlog.ErrDamaged):
			seg.Damage = &eventlog.Damage{Err: damaged(p, seg.Number, err), Events: count, First: timeOf(first), Last: timeOf(last)}
		case err != nil:
			return segments, damaged(p, seg.Number, err)
		}
		segments = append(segments, seg)
		size += max(seg.Bytes(), 1)
	}
	return segments, l.db.Problem(rows.Err())
}

// inMemory returns the state of a partition, and the segments after the given number if
// they are cached.
func (l *Log) inMemory(p event.Partition, after uint64, maxBytes int) (state, []eventlog.Segment) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	part := l.partitions[p]
	if part == nil {
		return state{}, nil
	}
	if after >= part.end || len(part.recent) == 0 || after+1 < part.recent[0].Number {
		return part.state, nil
	}
	var segments []eventlog.Segment
	rest := part.recent[after+1-part.recent[0].Number:]
	for size := 0; len(rest) > 0 && (len(segments) == 0 || size < maxBytes); rest = rest[1:] {
		segments = append(segments, rest[0])
		size += rest[0].Bytes()
	}
	return part.state, segments
}
