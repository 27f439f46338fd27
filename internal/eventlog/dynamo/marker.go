package dynamo

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
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

const (
	raisesPerLife = 3
	markerPage    = 100 // of a query
)

// RaiseMarkers raises the markers that are due, and returns how many it raised. It works until
// none is left or ctx ends, which is no error: the next call goes on with the longest overdue.
// One that cannot be raised does not block the others. With
// segments kept for thirty days, a partition costs a few reads and one write in ten days, and
// 17 partitions are raised at a time, some thousand in ten seconds.
// Numbers may be reused if a marker is not raised for two thirds of Options.Keep.
func (l *Log) RaiseMarkers(ctx context.Context) (int, error) {
	if err := ended(ctx); err != nil {
		return 0, err
	}
	var raised atomic.Int64
	var errs [markerShards + 1]error
	var g sync.WaitGroup
	for n := range errs {
		shard := oldMarkerShard
		if n < markerShards {
			shard = markerShard(n)
		}
		g.Go(func() { errs[n] = l.raiseShard(ctx, shard, &raised) })
	}
	g.Wait()
	if ctx.Err() != nil {
		return int(raised.Load()), nil
	}
	return int(raised.Load()), cmp.Or(errs[:]...)
}

// raiseShard raises the markers of one shard, page by page. It returns the first error, and ends
// with one that others would have too.
func (l *Log) raiseShard(ctx context.Context, shard string, raised *atomic.Int64) error {
	expr, err := expression.NewBuilder().WithKeyCondition(expression.Key(dynamotable.DueShard).Equal(expression.Value(shard)).
		And(expression.Key(dynamotable.Due).LessThanEqual(expression.Value(l.Now().UnixMilli())))).Build()
	if err != nil {
		return err
	}
	var failed error
	pages := dynamodb.NewQueryPaginator(l.DynamoDB, &dynamodb.QueryInput{
		TableName: &l.Table, IndexName: aws.String(dynamotable.DueIndex), Limit: aws.Int32(markerPage),
		KeyConditionExpression: expr.KeyCondition(), ExpressionAttributeNames: expr.Names(), ExpressionAttributeValues: expr.Values(),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return awserror.Problem(err, toRead)
		}
		var due []marker // only their keys
		if err := damaged(attributevalue.UnmarshalListOfMaps(page.Items, &due)); err != nil {
			return err
		}
		for _, m := range due {
			p, ok := partitionOf(m.key)
			if !ok {
				continue
			}
			err := l.raise(ctx, p)
			switch {
			case ctx.Err() != nil || problem.CodeOf(err) == problem.Unavailable:
				return err
			case err == nil:
				raised.Add(1)
			case failed == nil:
				failed = err
			}
		}
	}
	return failed
}

// raise raises the marker of a partition to its end. One that is above it, as after a
// procedure of docs/operations.md, stays, and is due when the others are.
func (l *Log) raise(ctx context.Context, p event.Partition) error {
	e, err := l.readEnd(ctx, p)
	if err != nil {
		return err
	}
	var m marker
	if _, err := l.get(ctx, l.Table, newKey(p, skMarker), &m); err != nil {
		return err
	}
	return l.putMarker(ctx, p, max(e.number, m.Number))
}

// putMarker puts the marker of a partition unless the stored one has a higher number.
func (l *Log) putMarker(ctx context.Context, p event.Partition, to uint64) error {
	m := marker{
		key: newKey(p, skMarker), Number: to, DueShard: markerShardOf(p),
		Due: l.Now().Add(l.Keep / raisesPerLife).UnixMilli(),
	}
	stored := expression.Name(attrNumber)
	_, _, err := l.put(ctx, l.Table, m, stored.AttributeNotExists().Or(stored.LessThanEqual(expression.Value(to))))
	return err
}
