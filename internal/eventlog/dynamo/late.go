package dynamo

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
)

// lateNote records the late segments of a partition: the number of the last one, and
// the earliest time of them all. A segment is late if it has an event that is older, by
// more than Margin, than an event before it: for example those of a batch that was given
// up, put back on the stream days later. OffsetForTime searches by times that are in order to
// within Margin, and so does not find late segments.
//
// A note is put before its segment, and the segment may never be stored:
//
//   - If the process ends between the two, or the put fails, the note has a number
//     that has no segment yet, or one that is not late. OffsetForTime then returns a
//     larger number than necessary, which is allowed, but never one above the end.
//   - The same holds if another process takes the number. The next attempt is after an
//     end whose time is no earlier, so the segment is late again and is noted with its
//     new number.
//   - A put that succeeds was after the true end: with an older one, its number would
//     have been taken. So no late segment is missed.
//   - While a segment of the note is retained, the note's number does not decrease and
//     its time does not increase. It expires with the last of them.
type lateNote struct {
	key
	Number  uint64 `dynamodbav:"number"`
	First   int64  `dynamodbav:"first"`   // ms
	Expires int64  `dynamodbav:"expires"` // s since 1970
}

// isLate reports whether the segment is late after e.
func (l *Log) isLate(e endState, it *item) bool {
	return it.First < e.last-l.Margin.Milliseconds()
}

// noteLate adds the segment to the note. Of two concurrent processes, the second puts
// the merged note.
func (l *Log) noteLate(ctx context.Context, p event.Partition, it *item) error {
	n := lateNote{newKey(p, skLate), it.number(), it.First, it.Expires}
	for {
		written, stored, err := l.put(ctx, l.Table, n, l.keepsNote(n))
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

// keepsNote returns the condition that n covers everything in the stored note.
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

// lastLate returns a number that no late segment, up to e and with an event at or
// before t, exceeds. The caller must have read e before, so that the notes of the
// segments up to it are stored.
func (l *Log) lastLate(ctx context.Context, p event.Partition, t time.Time, e endState) (uint64, error) {
	var n lateNote
	if _, err := l.get(ctx, l.Table, newKey(p, skLate), &n); err != nil {
		return 0, err
	}
	if n.Number == 0 || time.UnixMilli(n.First).After(t) {
		return 0, nil
	}
	// If the note has expired, so have its segments, and OffsetForTime returns at least
	// this number anyway.
	return min(n.Number, e.number), nil
}
