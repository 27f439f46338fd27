package sqlite

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
)

// After returns how many events the retained segments after the given number have, and
// the earliest published_at in the first of these segments, zero if there is none. Its
// cost does not depend on their number.
func (l *Log) After(ctx context.Context, p event.Partition, after uint64) (events int, oldest time.Time, err error) {
	s, ok := l.committed(p)
	if !ok || after >= s.end {
		return 0, time.Time{}, nil
	}
	var before, firstMs int64
	found, err := l.db.QueryRow(ctx, "SELECT before, first_ms FROM segments WHERE id > ? AND id <= ? AND length(data) > 0 ORDER BY id LIMIT 1",
		[]any{s.rowOf(after), s.rowOf(s.end)}, &before, &firstMs)
	if err != nil || !found {
		return 0, time.Time{}, err
	}
	return int(s.events - before), time.UnixMilli(firstMs).UTC(), nil
}
