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

const (
	// barrierLife is how long it is remembered that a barrier came through.
	barrierLife = 48 * time.Hour
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
	attrs := itemKey(p, barrierKey)
	attrs[attrAt] = number(at.UnixMilli())
	attrs[attrExpires] = number(l.Now().Add(barrierLife).Unix())
	_, err := l.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &l.Table, Item: attrs,
		ConditionExpression:       aws.String("attribute_not_exists(#at) OR #at < :at"),
		ExpressionAttributeNames:  map[string]string{"#at": attrAt},
		ExpressionAttributeValues: map[string]types.AttributeValue{":at": attrs[attrAt]},
	})
	if failed := (*types.ConditionalCheckFailedException)(nil); errors.As(err, &failed) {
		return nil
	}
	return awserror.Problem(err, "note a barrier in the log")
}

// passed reports whether everything that was put on the stream up to the given
// time has come through. If that may not be so, it sees to it that it will be
// known.
func (l *Log) passed(ctx context.Context, p event.Partition, end time.Time) (bool, error) {
	now := l.Now()
	if !now.After(end) {
		return false, nil // a barrier would be too early
	}
	if l.Barrier == nil {
		return true, nil
	}
	out, err := l.DynamoDB.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &l.Table, Key: itemKey(p, barrierKey), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return false, awserror.Problem(err, "read the log")
	}
	if len(out.Item) > 0 && !time.UnixMilli(intIn(out.Item, attrAt)).Before(end) {
		return true, nil
	}
	if !l.mayAsk(p, now) {
		return false, nil
	}
	return false, awserror.Problem(l.Barrier(ctx, p), "put a barrier on the stream")
}

// mayAsk reports whether it is time to ask for a barrier, and takes it for done.
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
