package dynamo

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/event"
)

// watermark is the time of the latest watermark marker that has arrived: everything put
// on the stream before it is in the log.
type watermark struct {
	key
	At      int64 `dynamodbav:"at"`      // when it was put on the stream, in ms
	Expires int64 `dynamodbav:"expires"` // s since 1970
}

const (
	// watermarkLife is how long a watermark is stored.
	watermarkLife = 48 * time.Hour
	// askEvery is the minimum time between markers that this process puts in a
	// partition, or the margin if that is shorter.
	askEvery = time.Minute
	// maxAsked bounds the partitions for which the last time is kept.
	maxAsked = 10_000
)

// Passed saves that the watermark marker put on the stream at the given time has
// arrived. The caller must have appended everything before it in the stream. A marker
// earlier than the latest one changes nothing.
func (l *Log) Passed(ctx context.Context, p event.Partition, at time.Time) error {
	if err := ended(ctx); err != nil {
		return err
	}
	w := watermark{key: newKey(p, skWatermark), At: at.UnixMilli(), Expires: l.Now().Add(watermarkLife).Unix()}
	stored := expression.Name(attrAt)
	_, _, err := l.put(ctx, l.Table, w, stored.AttributeNotExists().Or(stored.LessThan(expression.Value(w.At))))
	return err
}

// passed reports whether everything put on the stream up to the given time is in the
// log. If that is not known, it puts a watermark marker.
func (l *Log) passed(ctx context.Context, p event.Partition, end time.Time) (bool, error) {
	now := l.Now()
	if !now.After(end) {
		return false, nil // a marker would be too early
	}
	if l.PutMarker == nil {
		return true, nil
	}
	var w watermark
	found, err := l.get(ctx, l.Table, newKey(p, skWatermark), &w)
	if err != nil {
		return false, err
	}
	if found && !time.UnixMilli(w.At).Before(end) {
		return true, nil
	}
	if !l.mayAsk(p, now) {
		return false, nil
	}
	return false, awserror.Problem(l.PutMarker(ctx, p), "put a watermark marker on the stream")
}

// mayAsk reports whether it is time to put a marker, and if so records that.
func (l *Log) mayAsk(p event.Partition, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, ok := l.asked[p]; ok && now.Sub(last).Abs() < min(askEvery, l.Margin) {
		return false
	}
	if len(l.asked) >= maxAsked {
		clear(l.asked) // at worst, some markers are put again
	}
	l.asked[p] = now
	return true
}
