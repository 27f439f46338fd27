// Package dynamo keeps the idempotency keys of publish calls in the DynamoDB table. A call
// claims its key with one conditional put, publishes, and settles the key with another put.
// A claim that was never settled runs out; the next call with the key then takes it over.
package dynamo

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/idempotency"
)

// Client is the part of the DynamoDB API that Keys uses; *dynamodb.Client implements it.
type Client interface {
	PutItem(ctx context.Context, in *dynamodb.PutItemInput, options ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	DeleteItem(ctx context.Context, in *dynamodb.DeleteItemInput, options ...func(*dynamodb.Options)) (*dynamodb.DeleteItemOutput, error)
}

// Keys keeps the keys in a table. It is safe for concurrent use, also by several processes.
type Keys struct {
	client Client
	table  string
	now    func() time.Time
}

// New returns the keys in a table.
func New(client Client, table string, now func() time.Time) *Keys {
	return &Keys{client: client, table: table, now: now}
}

// item is the stored form of a key.
type item struct {
	dynamotable.Key
	Body    []byte `dynamodbav:"body"`           // the digest
	Seed    []byte `dynamodbav:"seed"`           // of the ids of the events
	Claim   string `dynamodbav:"claim"`          // the token of the call that has the key, or had it last
	Until   int64  `dynamodbav:"until"`          // ms: when the claim runs out; 0: it is settled
	Left    []byte `dynamodbav:"left,omitempty"` // Claim.Left, as uvarints
	Done    bool   `dynamodbav:"done"`
	Expires int64  `dynamodbav:"expires"` // s, the time to live
}

// attrClaim is the name of item.Claim, for conditions.
const attrClaim = "claim"

// sortKey is that of every item: the name of the key is in the partition key, which spreads
// the keys over the table.
const sortKey = "KEY"

func itemKey(k idempotency.Key) dynamotable.Key {
	return dynamotable.Key{PK: dynamotable.OncePrefix + strconv.Itoa(len(k.Tenant)) + "#" + k.Tenant + "#" + k.Name, SK: sortKey}
}

// Take claims a key until the given time and returns what is known of its call: nothing is
// accepted yet, if this is the first. Its errors are those of package idempotency, and
// Unavailable.
func (s *Keys) Take(ctx context.Context, k idempotency.Key, until time.Time) (idempotency.Claim, error) {
	seed, err := idempotency.NewSeed()
	if err != nil {
		return idempotency.Claim{}, err
	}
	now := s.now()
	mine := item{
		Key: itemKey(k), Body: k.Body[:], Seed: seed[:], Claim: rand.Text(), Until: until.UnixMilli(), Expires: now.Add(idempotency.Life).Unix(),
	}
	// The table removes an expired item late.
	free := expression.Name(dynamotable.PK).AttributeNotExists().Or(expression.Name(dynamotable.Expires).LessThanEqual(expression.Value(now.Unix())))
	old, err := s.put(ctx, mine, free)
	switch {
	case err != nil:
		return idempotency.Claim{}, err
	case old == nil, old.Claim == mine.Claim: // it was put twice, as the first response was lost
		return mine.claim(k), nil
	case !slices.Equal(old.Body, mine.Body):
		return idempotency.Claim{}, idempotency.Mismatch()
	case old.Done:
		return old.claim(k), nil
	case old.Until > now.UnixMilli():
		return idempotency.Claim{}, idempotency.InProgress(time.UnixMilli(old.Until).Sub(now))
	}
	return s.takeOver(ctx, k, *old, mine)
}

// takeOver goes on with a key that an earlier call left, settled or not.
func (s *Keys) takeOver(ctx context.Context, k idempotency.Key, old, mine item) (idempotency.Claim, error) {
	next := old
	next.Claim, next.Until = mine.Claim, mine.Until
	other, err := s.put(ctx, next, expression.Name(attrClaim).Equal(expression.Value(old.Claim)))
	if err != nil {
		return idempotency.Claim{}, err
	}
	if other != nil && other.Claim != mine.Claim {
		return idempotency.Claim{}, idempotency.InProgress(0)
	}
	return next.claim(k), nil
}

// Settle stores what is accepted of the call by now, and gives the key back. It changes
// nothing if the claim has run out and another call has the key.
func (s *Keys) Settle(ctx context.Context, c idempotency.Claim) error {
	i := item{Key: itemKey(c.Key), Body: c.Key.Body[:], Seed: c.Seed[:], Claim: c.Token, Done: c.Done, Expires: c.Expires.Unix()}
	for _, place := range c.Left {
		i.Left = binary.AppendUvarint(i.Left, uint64(place))
	}
	_, err := s.put(ctx, i, expression.Name(attrClaim).Equal(expression.Value(c.Token)))
	return err
}

// Drop forgets the key of a call that was refused, unless another call has it.
func (s *Keys) Drop(ctx context.Context, c idempotency.Claim) error {
	mine, err := expression.NewBuilder().WithCondition(expression.Name(attrClaim).Equal(expression.Value(c.Token))).Build()
	if err != nil {
		return err
	}
	_, err = s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: aws.String(s.table), Key: itemKey(c.Key).Attributes(), ConditionExpression: mine.Condition(),
		ExpressionAttributeNames: mine.Names(), ExpressionAttributeValues: mine.Values(),
	})
	if _, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return nil
	}
	return awserror.Problem(err, "drop an idempotency key")
}

// put puts an item on a condition. If that does not hold, it returns the item that is there.
func (s *Keys) put(ctx context.Context, i item, on expression.ConditionBuilder) (*item, error) {
	attributes, err := attributevalue.MarshalMap(i)
	if err != nil {
		return nil, err
	}
	condition, err := expression.NewBuilder().WithCondition(on).Build()
	if err != nil {
		return nil, err
	}
	_, err = s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: aws.String(s.table), Item: attributes, ConditionExpression: condition.Condition(),
		ExpressionAttributeNames: condition.Names(), ExpressionAttributeValues: condition.Values(),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if e, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		old := new(item)
		return old, attributevalue.UnmarshalMap(e.Item, old)
	}
	return nil, awserror.Problem(err, "keep an idempotency key")
}

// claim returns the claim of a stored item.
func (i *item) claim(k idempotency.Key) idempotency.Claim {
	c := idempotency.Claim{Key: k, Done: i.Done, Token: i.Claim, Expires: time.Unix(i.Expires, 0)}
	copy(c.Seed[:], i.Seed)
	for left := i.Left; len(left) > 0; {
		place, size := binary.Uvarint(left)
		if size <= 0 { // not what Settle wrote: no event is known to be accepted
			c.Left = nil
			return c
		}
		c.Left, left = append(c.Left, int(place)), left[size:]
	}
	return c
}
