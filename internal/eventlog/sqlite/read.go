package sqlite

import (
	"context"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
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
	rows, err := l.db.Query(ctx, "SELECT id, data FROM segments WHERE id > ? AND id <= ? AND length(data) > 0 ORDER BY id",
		s.rowOf(after), s.rowOf(s.end))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for size := 0; (size == 0 || size < maxBytes) && rows.Next(); {
		var row int64
		var data []byte
		if err := rows.Scan(&row, &data); err != nil {
			return nil, l.db.Problem(err)
		}
		events, err := eventlog.DecodeSegment(p.Tenant, data)
		if err != nil {
			return nil, damaged(p, numberOf(row), err)
		}
		segments = append(segments, eventlog.Segment{Number: numberOf(row), Events: events})
		size += max(segments[len(segments)-1].Bytes(), 1)
	}
	if err := rows.Err(); err != nil {
		return nil, l.db.Problem(err)
	}
	return segments, nil
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
