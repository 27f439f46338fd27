package dynamo

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/event"
)

// note is what a partition remembers of its belated segments: the number of the
// last one, and the earliest time of them all. A segment is belated if it has an
// event that is older than one before it by more than Margin, as records have
// that were set aside and put back on the stream days later. Through searches by
// times that nearly grow and does not find it.
//
// A note is put before the segment is, and the segment may never come:
//
//   - If the process ends between the two, or the put fails, the note names a
//     number that has no segment yet, or one that is not belated. Then Through
//     answers with a larger number than it had to, which it may, and never with
//     one above the head.
//   - If somebody else takes the number, the same holds. The next try is after a
//     head whose time is no earlier: it is found belated again, and noted under
//     the number that it then is to have.
//   - A put that holds was after the true head: had its process known an older
//     one, the number would have been taken. So no belated segment is missed.
//   - While a segment of the note is retained, its number does not fall and its
//     time does not rise. It expires with the last of them.
type note struct {
	number  uint64
	first   int64 // ms
	expires int64 // s
}

// isBelated reports whether the segment is, after this head.
func (l *Log) isBelated(h head, it *item) bool {
	return it.first < h.last-l.Margin.Milliseconds()
}

// noteBelated notes that the segment is belated. Of two that note at once, the
// one that comes second puts what both know.
func (l *Log) noteBelated(ctx context.Context, p event.Partition, it *item) error {
	n := note{it.number, it.first, it.expires}
	for {
		there, err := l.putNote(ctx, p, n)
		if err != nil || there == nil {
			return err
		}
		n = note{max(n.number, there.number), min(n.first, there.first), max(n.expires, there.expires)}
	}
}

// putNote puts the note, unless that would take back something that the one there
// says: then it returns that one.
func (l *Log) putNote(ctx context.Context, p event.Partition, n note) (*note, error) {
	attrs := itemKey(p, belatedKey)
	attrs[attrNumber] = number(n.number)
	attrs[attrFirst] = number(n.first)
	attrs[attrExpires] = number(n.expires)
	_, err := l.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &l.Table, Item: attrs,
		ConditionExpression: aws.String("attribute_not_exists(#number) OR #expires <= :now OR " +
			"(#number <= :number AND #first >= :first AND #expires <= :expires)"),
		ExpressionAttributeNames: map[string]string{"#number": attrNumber, "#first": attrFirst, "#expires": attrExpires},
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":now": number(l.Now().Unix()), ":number": attrs[attrNumber], ":first": attrs[attrFirst], ":expires": attrs[attrExpires],
		},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if failed := (*types.ConditionalCheckFailedException)(nil); errors.As(err, &failed) {
		there := noteOf(failed.Item)
		return &there, nil
	}
	return nil, awserror.Problem(err, "append to the log")
}

// belatedThrough returns a number such that every belated segment up to the head
// with an event at t or before is up to it. It is called with a head that was read
// before: whatever is up to that was noted by then.
func (l *Log) belatedThrough(ctx context.Context, p event.Partition, t time.Time, h head) (uint64, error) {
	out, err := l.DynamoDB.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &l.Table, Key: itemKey(p, belatedKey), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return 0, awserror.Problem(err, "read the log")
	}
	n := noteOf(out.Item)
	if n.number == 0 || time.UnixMilli(n.first).After(t) {
		return 0, nil
	}
	// If it has expired, so have its segments: what Through answers is no less.
	return min(n.number, h.number), nil
}

func noteOf(attrs map[string]types.AttributeValue) note {
	return note{number: uintIn(attrs, attrNumber), first: intIn(attrs, attrFirst), expires: intIn(attrs, attrExpires)}
}
