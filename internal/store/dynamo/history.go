package dynamo

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// entryLife is how long a log entry can be read after it was created, as the API
// promises. DynamoDB deletes it within days after that.
const entryLife = 30 * 24 * time.Hour

func addEntry(w store.AddEntry, order string) ([]change, error) {
	it, err := newItem(entryKey(w.History, w.Entry.CreatedAt, order), w.Entry)
	if err != nil {
		return nil, err
	}
	it.Expires = expires(w.Entry.CreatedAt, entryLife)
	return []change{{key: it.key, put: it}}, nil
}

// Entries implements store.Store. It never returns entries older than 30 days,
// whether DynamoDB has deleted them or not. Entries of the same time from two
// hosts are in the order of the hosts' clocks.
func (s *Store) Entries(ctx context.Context, h store.History, limit int) ([]integration.LogEntry, error) {
	if limit <= 0 {
		return nil, nil
	}
	oldest := entriesFrom(s.now().Add(-entryLife))
	expr := expression.NewBuilder().WithKeyCondition(inPartition(historyPK(h)).
		And(expression.Key(dynamotable.SK).Between(expression.Value(oldest), expression.Value(skDeleted))))
	var entries []integration.LogEntry
	for it, err := range s.query(ctx, dynamodb.QueryInput{
		ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false), Limit: pageSize(limit),
	}, expr) {
		if err != nil {
			return nil, err
		}
		if it.SK == skDeleted { // it sorts last, so it comes first here
			return nil, nil
		}
		var e integration.LogEntry
		if err := it.decode(&e); err != nil {
			return nil, err
		}
		if entries = append(entries, e); len(entries) == limit {
			break
		}
	}
	return entries, nil
}

// RejectedIndex implements store.Store. The index of a deleted history is deleted
// with it; one that is written later is returned.
func (s *Store) RejectedIndex(ctx context.Context, h store.History) (*integration.RejectedIndex, error) {
	x := &integration.RejectedIndex{}
	if _, err := s.get(ctx, indexKey(h), &x.Events, &x.Version); err != nil {
		return nil, err
	}
	return x, nil
}

// Rejected implements store.Store. It reads the event together with the tombstone
// of its history.
func (s *Store) Rejected(ctx context.Context, h store.History, eventID string) (*integration.Rejected, error) {
	items, err := s.items(ctx, []key{rejectedKey(h, eventID), deletedKey(h)})
	if err != nil {
		return nil, err
	}
	if len(items) != 1 || items[0].SK == skDeleted {
		return nil, problem.New(problem.NotFound, "There is no rejected event %q.", eventID)
	}
	return items[0].rejected(h.Tenant)
}
