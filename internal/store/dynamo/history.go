package dynamo

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/integration"
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
	placed, err := s.EntriesAfter(ctx, h, "", limit)
	var entries []integration.LogEntry
	for _, e := range placed {
		entries = append(entries, e.LogEntry)
	}
	return entries, err
}

// EntriesAfter implements store.Store, as Entries does. A place is a sort key without its
// prefix. From a place on, it also reads the tombstone of the history.
func (s *Store) EntriesAfter(ctx context.Context, h store.History, place string, limit int) ([]store.PlacedEntry, error) {
	if limit <= 0 {
		return nil, nil
	}
	oldest, newest := entriesFrom(s.now().Add(-entryLife)), skDeleted
	if place != "" {
		if newest = entryPrefix + place; !entryPlace.MatchString(place) {
			return nil, store.ErrPlace
		}
		if deleted, err := s.items(ctx, []key{deletedKey(h)}); err != nil || len(deleted) > 0 {
			return nil, err
		}
		if newest < oldest {
			return nil, nil
		}
	}
	expr := expression.NewBuilder().WithKeyCondition(inPartition(historyPK(h)).
		And(expression.Key(dynamotable.SK).Between(expression.Value(oldest), expression.Value(newest))))
	var entries []store.PlacedEntry
	for it, err := range s.query(ctx, dynamodb.QueryInput{
		ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false), Limit: pageSize(limit + 1), // what is at the place comes first
	}, expr) {
		if err != nil {
			return nil, err
		}
		if it.SK == skDeleted { // it sorts last, so it comes first here
			return nil, nil
		}
		e := store.PlacedEntry{Place: strings.TrimPrefix(it.SK, entryPrefix)}
		if e.Place == place {
			continue
		}
		if err := it.decode(&e.LogEntry); err != nil {
			return nil, err
		}
		if entries = append(entries, e); len(entries) == limit {
			break
		}
	}
	return entries, nil
}

// entryPlace is what a place looks like: a time and an order.
var entryPlace = regexp.MustCompile(`^\d{14}\.\d{6}#[0-9A-Za-z#.-]+$`)
