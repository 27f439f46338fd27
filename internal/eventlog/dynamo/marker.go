package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
)

// marker keeps the number that the head of a partition had. A number is never
// given twice: records and cursors point at it. But the items of a partition that
// is idle for Options.Keep are all removed, the last one with them. The marker is
// never removed. It is put before the first segment, and RaiseMarkers, called
// regularly, raises it three times within the life of a segment: whatever has
// expired has a number up to that of its marker.
type marker struct {
	key
	Number   uint64 `dynamodbav:"number"`
	DueShard string `dynamodbav:"timetable"` // see package dynamotable
	Due      int64  `dynamodbav:"due"`       // when it is to be raised, in ms
}

const raisesPerLife = 3

// RaiseMarkers raises the markers that are due, at most limit of them, and
// returns how many they were. Call it once a day or more often, and again while
// it returns the limit. A partition costs one read and one write in ten days, if
// segments are kept for thirty. Numbers are given twice if it is not called for
// two thirds of Options.Keep.
func (l *Log) RaiseMarkers(ctx context.Context, limit int) (int, error) {
	if err := ended(ctx); err != nil {
		return 0, err
	}
	expr := expression.NewBuilder().WithKeyCondition(expression.Key(dynamotable.DueShard).Equal(expression.Value(markerShard)).
		And(expression.Key(dynamotable.Due).LessThanEqual(expression.Value(l.Now().UnixMilli()))))
	var due []marker // their keys alone
	_, err := l.find(ctx, dynamodb.QueryInput{IndexName: aws.String(dynamotable.DueIndex), Limit: aws.Int32(int32(limit))}, expr, &due)
	if err != nil {
		return 0, err
	}
	for i, m := range due {
		p, ok := partitionOf(m.key)
		if !ok {
			continue
		}
		h, err := l.readEnd(ctx, p)
		if err != nil {
			return i, err
		}
		if err := l.putMarker(ctx, p, h.number); err != nil {
			return i, err
		}
	}
	return len(due), nil
}

// putMarker puts the marker of a partition, unless it has a higher number.
func (l *Log) putMarker(ctx context.Context, p event.Partition, to uint64) error {
	m := marker{
		key: newKey(p, skMarker), Number: to, DueShard: markerShard,
		Due: l.Now().Add(l.Keep / raisesPerLife).UnixMilli(),
	}
	stored := expression.Name(attrNumber)
	_, _, err := l.put(ctx, m, stored.AttributeNotExists().Or(stored.LessThanEqual(expression.Value(to))))
	return err
}
