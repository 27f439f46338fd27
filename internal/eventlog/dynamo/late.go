package dynamo

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
)

// lateNote is what a partition remembers of its late segments: the number of the
// last one, and the earliest time of them all. A segment is late if it has an
// event that is older than one before it by more than Margin, as records have
// that were set aside and put back on the stream days later. Through searches by
// times that grow but for Margin, and so does not find it.
//
// A note is put before the segment is, and the segment may never come:
//
//   - If the process ends between the two, or the put fails, the note names a
//     number that has no segment yet, or one that is not late. Then Through
//     answers with a larger number than it had to, which it may, and never with
//     one above the head.
//   - If another process takes the number, the same holds. The next try is after
//     a head whose time is no earlier: the segment is late again, and is noted
//     under the number that it then gets.
//   - A put that succeeds was after the true head: had its process known an older
//     one, the number would have been taken. So no late segment is missed.
//   - While a segment of the note is retained, its number does not fall and its
//     time does not rise. It expires with the last of them.
type lateNote struct {
	key
	Number  uint64 `dynamodbav:"number"`
	First   int64  `dynamodbav:"first"`   // ms
	Expires int64  `dynamodbav:"expires"` // s since 1970
}

// isLate reports whether the segment is late after this head.
func (l *Log) isLate(h endState, it *item) bool {
	return it.First < h.last-l.Margin.Milliseconds()
}

// noteLate notes that the segment is late. Of two processes that note at once,
// the second puts what both know.
func (l *Log) noteLate(ctx context.Context, p event.Partition, it *item) error {
	n := lateNote{newKey(p, skLate), it.number(), it.First, it.Expires}
	for {
		written, stored, err := l.put(ctx, n, l.keepsNote(n))
		if written || err != nil {
			return err
		}
		var there lateNote
		if err := decode(stored, &there); err != nil {
			return err
		}
		n.Number, n.First, n.Expires = max(n.Number, there.Number), min(n.First, there.First), max(n.Expires, there.Expires)
	}
}

// keepsNote is the condition that the note takes back nothing of what the stored
// one says.
func (l *Log) keepsNote(n lateNote) expression.ConditionBuilder {
	number, first, expires := expression.Name(attrNumber), expression.Name(attrFirst), expression.Name(dynamotable.Expires)
	return expression.Or(
		number.AttributeNotExists(),
		expires.LessThanEqual(expression.Value(l.Now().Unix())),
		expression.And(
			number.LessThanEqual(expression.Value(n.Number)),
			first.GreaterThanEqual(expression.Value(n.First)),
			expires.LessThanEqual(expression.Value(n.Expires))))
}

// lateThrough returns a number such that every late segment up to the head with
// an event at t or before is up to it. The caller has read the head before: the
// note of whatever is up to it is then stored.
func (l *Log) lateThrough(ctx context.Context, p event.Partition, t time.Time, h endState) (uint64, error) {
	var n lateNote
	if _, err := l.get(ctx, newKey(p, skLate), &n); err != nil {
		return 0, err
	}
	if n.Number == 0 || time.UnixMilli(n.First).After(t) {
		return 0, nil
	}
	// If it has expired, so have its segments: what Through answers is no less.
	return min(n.Number, h.number), nil
}
