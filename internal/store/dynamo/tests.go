package dynamo

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/store"
)

// testsPrefix is that of the sort keys of counters of tests: a minute, in s since 1970.
const testsPrefix = "TESTS#"

// attrCount is how many tests a counter has counted.
const attrCount = "count"

// testsLife is how long a counter is kept: longer than clocks differ.
const testsLife = time.Hour

// CountTest implements trial.Counter for all processes together. If its response is lost, a
// test may count twice.
func (s *Store) CountTest(ctx context.Context, h store.History, minute time.Time) (int, error) {
	count := expression.Name(attrCount)
	expr, err := expression.NewBuilder().WithUpdate(expression.Add(count, expression.Value(1)).
		Set(expression.Name(dynamotable.Expires), expression.Value(expires(minute, testsLife)))).Build()
	if err != nil {
		return 0, err
	}
	out, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: s.table, Key: testsKey(h, minute).Attributes(), UpdateExpression: expr.Update(),
		ExpressionAttributeNames: expr.Names(), ExpressionAttributeValues: expr.Values(),
		ReturnValues: types.ReturnValueUpdatedNew,
	})
	if err != nil {
		return 0, awserror.Problem(err, toWrite)
	}
	var counted struct {
		Count int `dynamodbav:"count"`
	}
	err = attributevalue.UnmarshalMap(out.Attributes, &counted)
	return counted.Count, err
}
