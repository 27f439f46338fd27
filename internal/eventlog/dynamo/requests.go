package dynamo

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
)

// What the service could not do, for awserror.Problem.
const (
	toRead  = "read the log"
	toWrite = "append to the log"
)

// get reads an item of a table consistently into to; false if there is none. It reads all
// attributes, or only those named.
func (l *Log) get(ctx context.Context, table string, k key, to any, names ...string) (bool, error) {
	in := &dynamodb.GetItemInput{TableName: &table, Key: k.Attributes(), ConsistentRead: aws.Bool(true)}
	if len(names) > 0 {
		expr, err := expression.NewBuilder().WithProjection(projection(names)).Build()
		if err != nil {
			return false, err
		}
		in.ProjectionExpression, in.ExpressionAttributeNames = expr.Projection(), expr.Names()
	}
	out, err := l.DynamoDB.GetItem(ctx, in)
	if err != nil {
		return false, awserror.Problem(err, toRead)
	}
	return len(out.Item) > 0, decode(out.Item, to)
}

// put puts an item into a table if the condition holds. Otherwise it returns false and the
// stored item.
func (l *Log) put(ctx context.Context, table string, it any, condition expression.ConditionBuilder) (bool, attributes, error) {
	attrs, err := attributevalue.MarshalMap(it)
	if err != nil {
		return false, nil, err
	}
	expr, err := expression.NewBuilder().WithCondition(condition).Build()
	if err != nil {
		return false, nil, err
	}
	_, err = l.DynamoDB.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &table, Item: attrs,
		ConditionExpression: expr.Condition(), ExpressionAttributeNames: expr.Names(), ExpressionAttributeValues: expr.Values(),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return false, failed.Item, nil
	}
	return err == nil, nil, awserror.Problem(err, toWrite)
}

// query selects which segments to read, and which of their attributes.
type query struct {
	limit     int
	backwards bool     // from the last one
	only      []string // attributes besides the number; all if nil
}

// page reads one page of the segments in a table, consistently, and reports whether there
// may be more.
func (l *Log) page(ctx context.Context, table string, p event.Partition, after uint64, q query) ([]item, bool, error) {
	first, last := segmentKey(p, after+1), segmentKey(p, maxNumber)
	b := expression.NewBuilder().WithKeyCondition(expression.Key(dynamotable.PK).Equal(expression.Value(first.PK)).
		And(expression.Key(dynamotable.SK).Between(expression.Value(first.SK), expression.Value(last.SK))))
	if q.only != nil {
		b = b.WithProjection(projection(q.only).AddNames(expression.Name(dynamotable.SK)))
	}
	var items []item
	more, err := l.find(ctx, dynamodb.QueryInput{
		TableName: &table, ConsistentRead: aws.Bool(true), Limit: aws.Int32(int32(q.limit)), ScanIndexForward: aws.Bool(!q.backwards),
	}, b, &items)
	return items, more, err
}

// find reads one page of a query into to, a pointer to a slice, and reports
// whether there may be more. It fills in the expressions.
func (l *Log) find(ctx context.Context, in dynamodb.QueryInput, b expression.Builder, to any) (bool, error) {
	expr, err := b.Build()
	if err != nil {
		return false, err
	}
	in.KeyConditionExpression, in.ProjectionExpression = expr.KeyCondition(), expr.Projection()
	in.ExpressionAttributeNames, in.ExpressionAttributeValues = expr.Names(), expr.Values()
	out, err := l.DynamoDB.Query(ctx, &in)
	if err != nil {
		return false, awserror.Problem(err, toRead)
	}
	return len(out.LastEvaluatedKey) > 0, damaged(attributevalue.UnmarshalListOfMaps(out.Items, to))
}

// attributes is an item as in DynamoDB's API.
type attributes = map[string]types.AttributeValue

func decode(attrs attributes, to any) error { return damaged(attributevalue.UnmarshalMap(attrs, to)) }

func projection(names []string) expression.ProjectionBuilder {
	var b expression.ProjectionBuilder
	for _, name := range names {
		b = b.AddNames(expression.Name(name))
	}
	return b
}

func damaged(err error) error {
	if err == nil {
		return nil
	}
	return problem.Wrap(err, problem.Internal, "an item of the log is damaged")
}
