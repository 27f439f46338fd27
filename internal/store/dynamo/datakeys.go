package dynamo

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/dynamotable"
)

// dataKeyItem is an encrypted data key. It is never changed and never expires.
type dataKeyItem struct {
	key
	Data []byte `dynamodbav:"data"`
}

func dataKeyKey(name string) key { return newKey(dynamotable.DataKeyPrefix+name, skDataKey) }

// DataKey implements secret/kms.Shelf.
func (s *Store) DataKey(ctx context.Context, name string) ([]byte, error) {
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: s.table, Key: dataKeyKey(name).Attributes(), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, awserror.Problem(err, toRead)
	}
	var kept dataKeyItem
	err = attributevalue.UnmarshalMap(out.Item, &kept)
	return kept.Data, err
}

// KeepDataKey implements secret/kms.Shelf.
func (s *Store) KeepDataKey(ctx context.Context, name string, wrapped []byte) ([]byte, error) {
	it, err := attributevalue.MarshalMap(dataKeyItem{key: dataKeyKey(name), Data: wrapped})
	if err != nil {
		return nil, err
	}
	_, err = s.client.PutItem(ctx, &dynamodb.PutItemInput{TableName: s.table, Item: it, ConditionExpression: aws.String("attribute_not_exists(" + dynamotable.PK + ")")})
	if taken := (*types.ConditionalCheckFailedException)(nil); errors.As(err, &taken) {
		return s.DataKey(ctx, name)
	}
	if err != nil {
		return nil, awserror.Problem(err, toWrite)
	}
	return wrapped, nil
}
