package dynamo

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/store"
)

const (
	// freeAfter is how long after its deletion a history is freed. Whoever was
	// at work for the integration and may write to it still is gone by then: an
	// invocation lasts 15 minutes at most.
	freeAfter = time.Hour
	// markLife is how long the mark stays after that. It outlives every entry
	// that was written late, so that none is ever seen.
	markLife = 35 * 24 * time.Hour
	// batchWrite is how many items one call deletes at most.
	batchWrite = 25
)

// deleteHistory puts the mark that hides entries and rejected events, which can
// be many, until FreeHistories deletes them. The index is small and goes at
// once: a late actor must not find it with a version of before.
func deleteHistory(h store.History, now time.Time) []change {
	k := deletedKey(h)
	mark := k.attributes()
	k.at(mark, kindDeleted, now.Add(freeAfter))
	return []change{{key: k, item: mark}, {key: indexKey(h)}}
}

// FreeHistories deletes all items of up to limit histories that were deleted an
// hour ago or longer, the longest ago first, and returns how many histories it
// was done with, also after an error. One that cannot be freed does not hold up
// the others. Wherever it is interrupted, the next call goes on; two at the same
// time are in no one's way.
func (s *Store) FreeHistories(ctx context.Context, limit int) (freed int, err error) {
	marks, err := s.rows(ctx, kindDeleted, s.now(), limit)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, mark := range first(marks, limit) {
		err := s.free(ctx, mark)
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

// free deletes the items of a history, then takes its mark out of the timetable.
func (s *Store) free(ctx context.Context, mark row) error {
	pages := dynamodb.NewQueryPaginator(s.client, &dynamodb.QueryInput{
		TableName: s.table, ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("#pk = :pk"),
		ProjectionExpression:      aws.String("#pk, #sk"),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: item{":pk": text(mark.pk)},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return awserror.Problem(err, toRead)
		}
		var deletes []types.WriteRequest
		for _, it := range page.Items {
			if k := keyOf(it); k != mark.key {
				deletes = append(deletes, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: k.attributes()}})
			}
		}
		if err := s.deleteAll(ctx, deletes); err != nil {
			return err
		}
	}
	return s.settle(ctx, mark)
}

func (s *Store) deleteAll(ctx context.Context, deletes []types.WriteRequest) error {
	for len(deletes) > 0 {
		n := min(len(deletes), batchWrite)
		batch := deletes[:n]
		deletes = deletes[n:]
		err := s.repeat(ctx, n, func() (int, error) {
			out, err := s.client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{
				RequestItems: map[string][]types.WriteRequest{*s.table: batch},
			})
			if err != nil {
				return 0, awserror.Problem(err, toWrite)
			}
			batch = nil
			for _, left := range out.UnprocessedItems {
				batch = append(batch, left...)
			}
			return len(batch), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// settle takes a mark out of the timetable, unless the history was marked again
// since, or another one was first.
func (s *Store) settle(ctx context.Context, mark row) error {
	_, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: s.table, Key: mark.attributes(),
		UpdateExpression:         aws.String("SET #expires = :expires REMOVE #timetable, #due"),
		ConditionExpression:      aws.String("#due = :due"),
		ExpressionAttributeNames: map[string]string{"#expires": attrExpires, "#timetable": attrTimetable, "#due": attrDue},
		ExpressionAttributeValues: item{
			":expires": expires(s.now(), markLife), ":due": number(mark.due),
		},
	})
	if _, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return nil
	}
	return awserror.Problem(err, toWrite)
}
