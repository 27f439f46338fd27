package dynamo

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/backoff"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// write makes all changes or none. It retries while it is throttled or in
// conflict with a transaction in progress.
func (s *Store) write(ctx context.Context, changes []change) error {
	if len(changes) == 0 {
		return nil
	}
	items := make([]types.TransactWriteItem, len(changes))
	for i := range changes {
		var err error
		if items[i], err = s.transactItem(&changes[i]); err != nil {
			return err
		}
	}
	try := func() error { return s.send(ctx, items[0]) }
	if len(items) > 1 {
		try = s.transaction(ctx, items)
	}
	for attempt := 0; ; attempt++ {
		err := try()
		switch outcomeOf(err, changes) {
		case made:
			return nil
		case conflict:
			return store.ErrConflict
		case failed:
			return awserror.Problem(err, toWrite)
		case refused:
			return problem.Wrap(err, problem.Internal, "DynamoDB rejected a Commit of %d items", len(changes))
		case busy:
			if err := backOff(ctx, attempt, err); err != nil {
				return err
			}
		}
	}
}

// send makes the only write of a Commit, without a transaction.
func (s *Store) send(ctx context.Context, w types.TransactWriteItem) error {
	if d := w.Delete; d != nil {
		_, err := s.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
			TableName: d.TableName, Key: d.Key, ConditionExpression: d.ConditionExpression,
			ExpressionAttributeNames: d.ExpressionAttributeNames, ExpressionAttributeValues: d.ExpressionAttributeValues,
		})
		return err
	}
	p := w.Put
	_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: p.TableName, Item: p.Item, ConditionExpression: p.ConditionExpression,
		ExpressionAttributeNames: p.ExpressionAttributeNames, ExpressionAttributeValues: p.ExpressionAttributeValues,
		ReturnValuesOnConditionCheckFailure: p.ReturnValuesOnConditionCheckFailure,
	})
	return err
}

// transaction returns a function that tries the writes in one transaction. Its
// token lets DynamoDB recognise a call that the client retries because the
// response was lost. A cancelled transaction has written nothing; the next try is
// a new transaction with a new token.
func (s *Store) transaction(ctx context.Context, items []types.TransactWriteItem) func() error {
	in := &dynamodb.TransactWriteItemsInput{ClientRequestToken: aws.String(rand.Text()), TransactItems: items}
	return func() error {
		_, err := s.client.TransactWriteItems(ctx, in)
		if _, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
			in.ClientRequestToken = aws.String(rand.Text())
		}
		return err
	}
}

// outcome is the result of one attempt to write.
type outcome int

const (
	made     outcome = iota // everything is written
	conflict                // a stored version is not the required one; nothing is written
	busy                    // another transaction writes the same item, or a limit is reached; try again
	refused                 // DynamoDB will never accept it
	failed                  // the call returned another error
)

func outcomeOf(err error, changes []change) outcome {
	if err == nil {
		return made
	}
	if e, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		return cancelled(e.CancellationReasons, changes)
	}
	if e, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		if changes[0].isIn(e.Item) {
			return made
		}
		return conflict
	}
	switch awserror.Code(err) {
	case "TransactionConflictException", "TransactionInProgressException":
		return busy
	}
	return failed
}

// cancelled returns the outcome of a cancelled transaction from the reasons, one
// for each change.
func cancelled(reasons []types.CancellationReason, changes []change) outcome {
	seen := made
	for i, r := range reasons {
		switch code := aws.ToString(r.Code); code {
		case "ConditionalCheckFailed":
			// One stored item shows that all changes were made: this is the retry
			// of a transaction whose token DynamoDB has forgotten.
			if i < len(changes) && changes[i].isIn(r.Item) {
				return made
			}
			seen = conflict
		case "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded":
			if seen == made {
				seen = busy
			}
		case "None", "":
		default: // a validation error, or an item that is too large
			if seen != conflict {
				seen = refused
			}
		}
	}
	if seen == made {
		return failed // cancelled without a reason
	}
	return seen
}

// isIn reports whether the change was made, given the item as it is stored now.
func (c *change) isIn(stored attributes) bool {
	return c.put != nil && c.put.Version != 0 && versionOf(stored) == c.put.Version
}

// Delays between attempts double from firstDelay to longestDelay; after the last
// attempt the error is Unavailable.
const (
	firstDelay   = 5 * time.Millisecond
	longestDelay = 160 * time.Millisecond
	attempts     = 8
)

// backOff waits after the given attempt, counted from 0. The time is random, so that
// two conflicting writers do not collide again. It returns an error if no attempts
// are left or the context ends.
func backOff(ctx context.Context, attempt int, cause error) error {
	if attempt >= attempts-1 {
		return problem.Wrap(cause, problem.Unavailable, "The service's records are too busy. Try again in a moment.")
	}
	if err := backoff.Wait(ctx, backoff.Full(firstDelay, attempt+1, longestDelay, nil)); err != nil {
		return awserror.Problem(ctx.Err(), "reach its records")
	}
	return nil
}

var errUnprocessed = errors.New("DynamoDB left part of the batch unprocessed")

// repeat calls batch until everything is processed. batch returns how many items
// are left, out of size at first. Only attempts without progress count.
func (s *Store) repeat(ctx context.Context, size int, batch func() (int, error)) error {
	for attempt := 0; ; attempt++ {
		left, err := batch()
		if err != nil || left == 0 {
			return err
		}
		if left < size {
			size, attempt = left, 0
		}
		if err := backOff(ctx, attempt, errUnprocessed); err != nil {
			return err
		}
	}
}
