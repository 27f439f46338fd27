package sqlite

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
)

// After returns how many events lie in the segments after the given number, as
// far as they are retained, and when the first of them was published. Its cost
// does not grow with their number.
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
