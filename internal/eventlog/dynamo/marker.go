package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
)

// marker preserves the end of a partition. A number must never be reused, as partition
// states and cursors refer to it, but all items of a partition that is idle for
// Options.Keep are removed, including the last. The marker is never removed. It is put
// before the first segment. RaiseMarkers, called regularly, raises it three times within
// the life of a segment, so that no expired segment has a number above the marker's.
type marker struct {
	key
	Number   uint64 `dynamodbav:"number"`
	DueShard string `dynamodbav:"timetable"` // see package dynamotable
	Due      int64  `dynamodbav:"due"`       // when to raise it, in ms
}

const raisesPerLife = 3

// RaiseMarkers raises the markers that are due, at most limit of them, and returns how
// many it raised. Call it at least once a day, and again while it returns limit. With
// segments kept for thirty days, a partition costs one read and one write in ten days.
// Numbers may be reused if it is not called for two thirds of Options.Keep.
func (l *Log) RaiseMarkers(ctx context.Context, limit int) (int, error) {
	if err := ended(ctx); err != nil {
		return 0, err
	}
	expr := expression.NewBuilder().WithKeyCondition(expression.Key(dynamotable.DueShard).Equal(expression.Value(markerShard)).
		And(expression.Key(dynamotable.Due).LessThanEqual(expression.Value(l.Now().UnixMilli()))))
	var due []marker // only their keys
	_, err := l.find(ctx, dynamodb.QueryInput{IndexName: aws.String(dynamotable.DueIndex), Limit: aws.Int32(int32(limit))}, expr, &due)
	if err != nil {
		return 0, err
	}
	for i, m := range due {
		p, ok := partitionOf(m.key)
		if !ok {
			continue
		}
		e, err := l.readEnd(ctx, p)
		if err != nil {
			return i, err
		}
		if err := l.putMarker(ctx, p, e.number); err != nil {
			return i, err
		}
	}
	return len(due), nil
}

// putMarker puts the marker of a partition unless the stored one has a higher number.
func (l *Log) putMarker(ctx context.Context, p event.Partition, to uint64) error {
	m := marker{
		key: newKey(p, skMarker), Number: to, DueShard: markerShard,
		Due: l.Now().Add(l.Keep / raisesPerLife).UnixMilli(),
	}
	stored := expression.Name(attrNumber)
	_, _, err := l.put(ctx, m, stored.AttributeNotExists().Or(stored.LessThanEqual(expression.Value(to))))
	return err
}
