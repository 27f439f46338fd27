package dynamo

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/store"
)

const (
	// freeAfter is how long after its deletion a history is freed. By then no
	// invocation can still write to it: one lasts 15 minutes at most.
	freeAfter = time.Hour
	// tombstoneLife is how long the tombstone stays after that. It outlives every
	// entry that was written late, so that none is ever returned.
	tombstoneLife = 35 * 24 * time.Hour
	// batchWrite is the maximum number of items in a BatchWriteItem.
	batchWrite = 25
)

// deleteHistory puts a tombstone that hides the entries and rejected events, which
// can be many, until FreeHistories deletes them. The count is small and is deleted
// at once: a late writer must not find its version.
func deleteHistory(h store.History, now time.Time) []change {
	tombstone := &item{key: deletedKey(h)}
	tombstone.dueAt(kindDeleted, now.Add(freeAfter))
	return []change{{key: tombstone.key, put: tombstone}, {key: countKey(h)}}
}

// FreeHistories deletes all items of up to limit histories that were deleted at
// least an hour ago, oldest deletion first. It returns how many histories it
// freed, also with an error. One that cannot be freed does not block the others.
// After an interruption the next call resumes; concurrent calls are safe.
func (s *Store) FreeHistories(ctx context.Context, limit int) (freed int, err error) {
	tombstones, err := s.dueItems(ctx, kindDeleted, s.now(), limit)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, tombstone := range longestDue(tombstones, limit) {
		err := s.free(ctx, tombstone)
		if err == nil {
			freed++
			continue
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return freed, errors.Join(errs...)
}

// free deletes the items of a history, then removes its tombstone from the due
// index.
func (s *Store) free(ctx context.Context, tombstone dueItem) error {
	keysOnly := expression.NamesList(expression.Name(dynamotable.PK), expression.Name(dynamotable.SK))
	expr := expression.NewBuilder().WithKeyCondition(inPartition(tombstone.PK)).WithProjection(keysOnly)
	var batch []types.WriteRequest
	for it, err := range s.query(ctx, dynamodb.QueryInput{ConsistentRead: aws.Bool(true)}, expr) {
		if err != nil {
			return err
		}
		if it.key == tombstone.key {
			continue
		}
		batch = append(batch, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: it.Attributes()}})
		if len(batch) == batchWrite {
			if err := s.deleteBatch(ctx, batch); err != nil {
				return err
			}
			batch = nil
		}
	}
	if err := s.deleteBatch(ctx, batch); err != nil {
		return err
	}
	return s.clearDue(ctx, tombstone)
}

func (s *Store) deleteBatch(ctx context.Context, batch []types.WriteRequest) error {
	if len(batch) == 0 {
		return nil
	}
	return s.repeat(ctx, len(batch), func() (int, error) {
		out, err := s.client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{
			RequestItems: map[string][]types.WriteRequest{*s.table: batch},
		})
		if err != nil {
			return 0, awserror.Problem(err, toWrite)
		}
		batch = out.UnprocessedItems[*s.table]
		return len(batch), nil
	})
}

// clearDue removes a tombstone from the due index, unless the history was deleted
// again since or another call has removed it.
func (s *Store) clearDue(ctx context.Context, tombstone dueItem) error {
	due := expression.Name(dynamotable.Due)
	expr, err := expression.NewBuilder().
		WithUpdate(expression.Set(expression.Name(dynamotable.Expires), expression.Value(expires(s.now(), tombstoneLife))).
			Remove(expression.Name(dynamotable.DueShard)).Remove(due)).
		WithCondition(due.Equal(expression.Value(tombstone.due))).Build()
	if err != nil {
		return err
	}
	_, err = s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: s.table, Key: tombstone.Attributes(),
		UpdateExpression: expr.Update(), ConditionExpression: expr.Condition(),
		ExpressionAttributeNames: expr.Names(), ExpressionAttributeValues: expr.Values(),
	})
	if _, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return nil
	}
	return awserror.Problem(err, toWrite)
}
