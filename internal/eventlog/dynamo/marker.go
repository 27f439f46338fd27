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

// A number is never given twice: records and cursors point at it. But the items
// of a partition where nothing happens for Options.Keep are all removed, the last
// one with them. So each partition has a marker that is never removed and has a
// number that the head was at. It is put before the first segment, and
// RaiseMarkers, called now and then, raises it three times within the life of a
// segment: whatever has expired has a number up to that of its marker.
const marksPerLife = 3

// RaiseMarkers raises the markers that are due, at most limit of them, and
// returns how many they were. It is to be called once a day or more often, and
// again while it returns the limit. A partition costs one read and one write in
// ten days, if segments are kept for thirty. Numbers are given twice if it is not
// called for two thirds of Options.Keep.
func (l *Log) RaiseMarkers(ctx context.Context, limit int) (int, error) {
	if err := ended(ctx); err != nil {
		return 0, err
	}
	now := l.Now()
	out, err := l.DynamoDB.Query(ctx, &dynamodb.QueryInput{
		TableName: &l.Table, IndexName: aws.String(timetableIndex), Limit: aws.Int32(int32(limit)),
		KeyConditionExpression:    aws.String("#timetable = :heads AND #due <= :now"),
		ExpressionAttributeNames:  map[string]string{"#timetable": attrTimetable, "#due": attrDue},
		ExpressionAttributeValues: map[string]types.AttributeValue{":heads": text(headsTimetable), ":now": number(now.UnixMilli())},
	})
	if err != nil {
		return 0, awserror.Problem(err, "read the log")
	}
	for i, attrs := range out.Items {
		p, ok := partitionOf(textIn(attrs, attrPK))
		if !ok {
			continue
		}
		h, err := l.readHead(ctx, p)
		if err != nil {
			return i, err
		}
		if err := l.putMarker(ctx, p, h.number); err != nil {
			return i, err
		}
	}
	return len(out.Items), nil
}

// putMarker writes the marker of a partition, unless it has a higher number.
func (l *Log) putMarker(ctx context.Context, p event.Partition, to uint64) error {
	attrs := itemKey(p, markerKey)
	attrs[attrNumber] = number(to)
	attrs[attrTimetable] = text(headsTimetable)
	attrs[attrDue] = number(l.Now().Add(l.Keep / marksPerLife).Truncate(time.Millisecond).UnixMilli())
	_, err := l.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &l.Table, Item: attrs,
		ConditionExpression:       aws.String("attribute_not_exists(#number) OR #number <= :number"),
		ExpressionAttributeNames:  map[string]string{"#number": attrNumber},
		ExpressionAttributeValues: map[string]types.AttributeValue{":number": attrs[attrNumber]},
	})
	if failed := (*types.ConditionalCheckFailedException)(nil); errors.As(err, &failed) {
		return nil
	}
	return awserror.Problem(err, "append to the log")
}
