package dynamo

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// write makes all changes or none.
func (s *Store) write(ctx context.Context, changes []change) error {
	if len(changes) == 0 {
		return nil
	}
	try := func() error { return s.send(ctx, &changes[0]) }
	if len(changes) > 1 {
		try = s.transaction(ctx, changes)
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
			return problem.Wrap(err, problem.Internal, "DynamoDB does not take a Commit of %d items", len(changes))
		case busy:
			if err := pause(ctx, attempt, err); err != nil {
				return err
			}
		}
	}
}

// transaction returns what tries to make the changes in one transaction. A token
// tells DynamoDB that the client's repetition of a call whose answer was lost is
// the same transaction. One that was cancelled was not made for sure; its next
// try is another transaction.
func (s *Store) transaction(ctx context.Context, changes []change) func() error {
	in := &dynamodb.TransactWriteItemsInput{ClientRequestToken: aws.String(rand.Text())}
	for i := range changes {
		in.TransactItems = append(in.TransactItems, s.inTransaction(&changes[i]))
	}
	return func() error {
		_, err := s.client.TransactWriteItems(ctx, in)
		if _, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
			in.ClientRequestToken = aws.String(rand.Text())
		}
		return err
	}
}

// outcome is what came of a try to write.
type outcome int

const (
	made     outcome = iota // everything is written
	conflict                // a version is not the one asked for; nothing is written
	busy                    // another transaction is in the way, or too many; try again
	refused                 // DynamoDB will never take it
	failed                  // by an error of the call
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

// cancelled tells what came of a transaction by the reasons, one for each
// change.
func cancelled(reasons []types.CancellationReason, changes []change) outcome {
	seen := made
	for i, r := range reasons {
		switch code := aws.ToString(r.Code); code {
		case "ConditionalCheckFailed":
			// One of its items shows that all were made: it is the repetition
			// of a transaction longer ago than its token is remembered.
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

// isIn reports whether the change was made, given the item that is stored now.
func (c *change) isIn(stored item) bool { return c.next != 0 && versionOf(stored) == c.next }

// Pauses grow from the first to the longest; after so many attempts the caller
// is told to come back.
const (
	firstPause   = 5 * time.Millisecond
	longestPause = 160 * time.Millisecond
	attempts     = 8
)

// pause waits before the attempt after the given one, counted from 0: a random
// time, so that those who are in each other's way do not meet again. It returns
// an error when the attempts are used up or the context ends.
func pause(ctx context.Context, attempt int, cause error) error {
	if attempt >= attempts-1 {
		return problem.Wrap(cause, problem.Unavailable, "The records of the service are too busy. Try again in a moment.")
	}
	longest := min(firstPause<<attempt, longestPause)
	timer := time.NewTimer(mathrand.N(longest))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return awserror.Problem(ctx.Err(), "reach its records")
	}
}

var errUnprocessed = errors.New("DynamoDB left a part of the batch unprocessed")

// repeat calls a batch again until nothing of it is left. Batch returns how much
// is, of the given size at first. Only attempts without progress count.
func (s *Store) repeat(ctx context.Context, size int, batch func() (int, error)) error {
	for attempt := 0; ; attempt++ {
		left, err := batch()
		if err != nil || left == 0 {
			return err
		}
		if left < size {
			size, attempt = left, 0
		}
		if err := pause(ctx, attempt, errUnprocessed); err != nil {
			return err
		}
	}
}
