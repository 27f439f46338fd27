package dynamo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// deliveriesKey sorts the delivery records of a partition by integration, then by time.
func deliveriesKey(p event.Partition, integration string, at int64) key {
	return newKey(dynamotable.DeliveryPrefix+p.Key(), fmt.Sprintf("%s#%019d", escape.Replace(integration), max(at, 0)))
}

// splitDeliveries takes the delivery records out of a Commit: in its transaction one would
// double the price of all of it.
func splitDeliveries(writes []store.Write) (others []store.Write, records []deliveries.Record) {
	for _, w := range writes {
		if w, ok := w.(store.AddDeliveries); ok {
			records = append(records, w.Record)
			continue
		}
		others = append(others, w)
	}
	return others, records
}

// sameTime is how many records of one partition, integration and nanosecond there can be.
const sameTime = 100

// addDeliveries puts a delivery record, after the commit that it belongs to. The record of
// another commit at the same time stays: this one gets the next nanosecond. One that is
// there already was put by a call whose response was lost.
func (s *Store) addDeliveries(ctx context.Context, r *deliveries.Record) error {
	expr, err := expression.NewBuilder().WithCondition(expression.Name(dynamotable.PK).AttributeNotExists()).Build()
	if err != nil {
		return err
	}
	for i := range int64(sameTime) {
		it := &item{key: deliveriesKey(r.Partition, r.Integration, r.At.UnixNano()+i), First: r.First, Last: r.Last, Data: r.Data, Expires: r.Expires.Unix()}
		attrs, err := attributevalue.MarshalMap(it)
		if err != nil {
			return err
		}
		_, err = s.client.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: s.table, Item: attrs, ConditionExpression: expr.Condition(), ExpressionAttributeNames: expr.Names(),
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
		})
		taken, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
		if !ok {
			return awserror.Problem(err, toWrite)
		}
		if there, err := itemOf(taken.Item); err == nil && bytes.Equal(there.Data, r.Data) {
			return nil
		}
	}
	return problem.New(problem.Unavailable, "too many delivery records of lane %d of tenant %q have one time", r.Partition.Lane, r.Partition.Tenant)
}

// Deliveries implements store.Store.
func (s *Store) Deliveries(ctx context.Context, q deliveries.Query) ([]deliveries.Record, error) {
	from, to := nanos(q.From), int64(math.MaxInt64)
	if !q.Before.IsZero() {
		to = nanos(q.Before) - 1
	}
	if q.Limit <= 0 || from > to {
		return nil, nil
	}
	first, last := deliveriesKey(q.Partition, q.Integration, from), deliveriesKey(q.Partition, q.Integration, to)
	expr := expression.NewBuilder().WithKeyCondition(inPartition(first.PK).
		And(expression.Key(dynamotable.SK).Between(expression.Value(first.SK), expression.Value(last.SK))))
	in := dynamodb.QueryInput{ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(q.Oldest)}
	if q.Through == 0 && q.Within == 0 {
		in.Limit = pageSize(q.Limit)
	}
	var found []deliveries.Record
	for it, err := range s.query(ctx, in, expr) {
		if err != nil {
			return nil, err
		}
		if it.Last < q.Through || q.Within > 0 && it.First > q.Within {
			continue
		}
		r, err := it.deliveries(q)
		if err != nil {
			return nil, err
		}
		if found = append(found, r); len(found) == q.Limit {
			break
		}
	}
	return found, nil
}

func (it *item) deliveries(q deliveries.Query) (deliveries.Record, error) {
	_, digits, _ := strings.Cut(it.SK, "#")
	at, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return deliveries.Record{}, problem.Wrap(err, problem.Internal, "stored item %q %q is not a delivery record", it.PK, it.SK)
	}
	return deliveries.Record{
		Partition: q.Partition, Integration: q.Integration, At: time.Unix(0, at).UTC(), Expires: time.Unix(it.Expires, 0).UTC(),
		First: it.First, Last: it.Last, Data: it.Data,
	}, nil
}

// nanos returns a time in ns since 1970. Times before that, or after 2262, are clamped.
func nanos(t time.Time) int64 {
	switch {
	case t.Before(firstTime):
		return 0
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}
