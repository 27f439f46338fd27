package dynamo

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/event"
)

// watermark is the latest barrier that came through the stream: everything that
// was put on the stream before it is in the log.
type watermark struct {
	key
	At      int64 `dynamodbav:"at"`      // when it was put on the stream, in ms
	Expires int64 `dynamodbav:"expires"` // s since 1970
}

const (
	// watermarkLife is how long a watermark is stored.
	watermarkLife = 48 * time.Hour
	// askEvery is how often this process asks for a barrier in a partition, or
	// once a margin if that is less.
	askEvery = time.Minute
	// maxAsked is for how many partitions that is remembered.
	maxAsked = 10_000
)

// Passed notes that a barrier that was put on the stream at the given time has
// come through: everything before it in the stream is in the log. The caller has
// appended that before. An earlier barrier than the latest one changes nothing.
func (l *Log) Passed(ctx context.Context, p event.Partition, at time.Time) error {
	if err := ended(ctx); err != nil {
		return err
	}
	w := watermark{key: newKey(p, skWatermark), At: at.UnixMilli(), Expires: l.Now().Add(watermarkLife).Unix()}
	stored := expression.Name(attrAt)
	_, _, err := l.put(ctx, w, stored.AttributeNotExists().Or(stored.LessThan(expression.Value(w.At))))
	return err
}

// passed reports whether everything that was put on the stream up to the given
// time has come through. If that is not known, it asks for a barrier.
func (l *Log) passed(ctx context.Context, p event.Partition, end time.Time) (bool, error) {
	now := l.Now()
	if !now.After(end) {
		return false, nil // a barrier would be too early
	}
	if l.PutMarker == nil {
		return true, nil
	}
	var w watermark
	found, err := l.get(ctx, newKey(p, skWatermark), &w)
	if err != nil {
		return false, err
	}
	if found && !time.UnixMilli(w.At).Before(end) {
		return true, nil
	}
	if !l.mayAsk(p, now) {
		return false, nil
	}
	return false, awserror.Problem(l.PutMarker(ctx, p), "put a barrier on the stream")
}

// mayAsk reports whether it is time to ask for a barrier, and if so remembers
// that it was asked for.
func (l *Log) mayAsk(p event.Partition, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.asked[p]; ok && now.Sub(last).Abs() < min(askEvery, l.Margin) {
		return false
	}
	if len(l.asked) >= maxAsked {
		clear(l.asked) // at worst some are asked for once more
	}
	l.asked[p] = now
	return true
}
