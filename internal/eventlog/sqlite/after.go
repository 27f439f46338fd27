package sqlite

import (
	"context"
	"math"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// After implements eventlog.Log. It reads one row, without its events, or what is in memory
// if that row would have to be moved first.
func (l *Log) After(ctx context.Context, p event.Partition, number uint64) (eventlog.Rest, error) {
	if err := ctx.Err(); err != nil {
		return eventlog.Rest{}, l.db.Problem(err)
	}
	s, ok := l.committed(p)
	if !ok {
		return eventlog.Rest{}, nil
	}
	rest := eventlog.Rest{Last: timeOf(s.lastMs)}
	if number >= s.end {
		return rest, nil
	}
	if _, all := l.inPlace(p); !all {
		if s, segments := l.inMemory(p, number, math.MaxInt); segments != nil {
			return restOf(s, segments), nil
		}
	}
	err := l.inTurn(ctx, p, func(s state) (bool, error) { return l.rest(ctx, s, number, &rest) })
	return rest, err
}

// rest adds what the log has after the given number, and reports whether that is anything.
func (l *Log) rest(ctx context.Context, s state, number uint64, rest *eventlog.Rest) (bool, error) {
	var row, before, firstMs, appended, size int64
	found, err := l.db.QueryRow(ctx, "SELECT id, before, first_ms, appended_bytes, length(data) FROM segments WHERE id > ? AND id <= ? AND length(data) > 0 ORDER BY id LIMIT 1",
		[]any{s.rowOf(number), s.rowOf(s.end)}, &row, &before, &firstMs, &appended, &size)
	if err != nil || !found {
		return false, err
	}
	rest.Next, rest.Events, rest.Bytes, rest.First = numberOf(row), int(s.events-before), s.bytes-appended+size, timeOf(firstMs)
	if appended == 0 {
		rest.Bytes, err = l.estimate(ctx, s, number, rest.Events)
	}
	return true, err
}

// restOf returns what the given segments are, the last ones of a partition.
func restOf(s state, segments []eventlog.Segment) eventlog.Rest {
	first := segments[0]
	rest := eventlog.Rest{Next: first.Number, First: first.Events[0].PublishedAt, Last: timeOf(s.lastMs)}
	for _, e := range first.Events {
		if e.PublishedAt.Before(rest.First) {
			rest.First = e.PublishedAt
		}
	}
	for i := range segments {
		rest.Events += len(segments[i].Events)
		rest.Bytes += int64(segments[i].Bytes())
	}
	return rest
}

// estimate returns about how many bytes the given number of events after a segment have,
// by the first segments: an earlier release did not count them.
func (l *Log) estimate(ctx context.Context, s state, number uint64, events int) (int64, error) {
	var size, of int64
	_, err := l.db.QueryRow(ctx, "SELECT sum(size), sum(events) FROM (SELECT length(data) AS size, events FROM segments WHERE id > ? AND id <= ? AND length(data) > 0 ORDER BY id LIMIT 100)",
		[]any{s.rowOf(number), s.rowOf(s.end)}, &size, &of)
	return size * int64(events) / max(of, 1), err
}
