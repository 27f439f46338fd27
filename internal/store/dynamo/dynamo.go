// Package dynamo is the store in one DynamoDB table, which it shares with the
// log. A record is an item: what it is found by is in attributes of its own,
// the rest is JSON. Every key is made in keys.go.
//
// The table has the hash key pk and the range key sk, both texts; an index
// timetable with the hash key timetable (text) and the range key due (number),
// of which it asks for the keys alone; and the time-to-live attribute expires.
//
// Versions are random numbers, so that an earlier one is never met again, and
// so that a write which was repeated because its answer was lost recognises
// itself. An item holds 400 KB at most: a rejected event has up to 256 KiB, and
// every other record is far smaller.
package dynamo

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// Store implements store.Store over a table.
type Store struct {
	client *dynamodb.Client
	table  *string
	now    func() time.Time

	lastCommit atomic.Int64 // the highest commit number given out
}

// New returns the store in the given table, which must exist. Now is the clock
// by which log entries expire.
func New(client *dynamodb.Client, table string, now func() time.Time) *Store {
	return &Store{client: client, table: &table, now: now}
}

var _ store.Store = (*Store)(nil)

// What an error says could not be done.
const (
	toRead  = "read its records"
	toWrite = "write its records"
)

// Tenant implements store.Store.
func (s *Store) Tenant(ctx context.Context, tenant string) (*store.Tenant, error) {
	t := &store.Tenant{}
	if _, err := s.get(ctx, tenantKey(tenant), t, &t.Version); err != nil {
		return nil, err
	}
	t.Name = tenant
	return t, nil
}

// Integration implements store.Store.
func (s *Store) Integration(ctx context.Context, tenant, id string) (*integration.Integration, error) {
	it, err := s.item(ctx, integrationKey(tenant, id))
	if err != nil {
		return nil, err
	}
	if it == nil {
		return nil, problem.New(problem.NotFound, "There is no integration %q.", id)
	}
	return decodeIntegration(it)
}

// Integrations implements store.Store.
func (s *Store) Integrations(ctx context.Context, tenant string) ([]*integration.Integration, error) {
	var found []*integration.Integration
	pages := dynamodb.NewQueryPaginator(s.client, &dynamodb.QueryInput{
		TableName: s.table, ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("#pk = :pk AND begins_with(#sk, :prefix)"),
		ExpressionAttributeNames:  map[string]string{"#pk": attrPK, "#sk": attrSK},
		ExpressionAttributeValues: item{":pk": text(ofTenant + tenant), ":prefix": text(toIntegration)},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, awserror.Problem(err, toRead)
		}
		for _, it := range page.Items {
			in, err := decodeIntegration(it)
			if err != nil {
				return nil, err
			}
			found = append(found, in)
		}
	}
	return found, nil
}

// Record implements store.Store.
func (s *Store) Record(ctx context.Context, p event.Partition) (*handoff.Record, error) {
	r := &handoff.Record{}
	if _, err := s.get(ctx, recordKey(p), r, &r.Version); err != nil {
		return nil, err
	}
	r.Partition = p
	return r, nil
}

// Cursor implements store.Store.
func (s *Store) Cursor(ctx context.Context, k handoff.Key) (*handoff.Cursor, error) {
	c := &handoff.Cursor{}
	found, err := s.get(ctx, cursorKey(k), c, &c.Version)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, problem.New(problem.NotFound, "There is no cursor of integration %q in lane %d.", k.Integration, k.Lane)
	}
	c.Key = k
	return c, nil
}

// get reads an item into a record, if there is one.
func (s *Store) get(ctx context.Context, k key, record any, version *uint64) (bool, error) {
	it, err := s.item(ctx, k)
	if err != nil || it == nil {
		return false, err
	}
	return true, decodeVersioned(it, record, version)
}

// item reads an item, nil if there is none.
func (s *Store) item(ctx context.Context, k key) (item, error) {
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: s.table, Key: k.attributes(), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, awserror.Problem(err, toRead)
	}
	return out.Item, nil
}

// batchGet is how many items one call reads at most.
const batchGet = 100

// items reads those of the given items that there are, in any order.
func (s *Store) items(ctx context.Context, keys []key) ([]item, error) {
	var found []item
	for len(keys) > 0 {
		n := min(len(keys), batchGet)
		ask := make([]item, n)
		for i, k := range keys[:n] {
			ask[i] = k.attributes()
		}
		keys = keys[n:]
		err := s.repeat(ctx, len(ask), func() (int, error) {
			out, err := s.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
				RequestItems: map[string]types.KeysAndAttributes{*s.table: {Keys: ask, ConsistentRead: aws.Bool(true)}},
			})
			if err != nil {
				return 0, awserror.Problem(err, toRead)
			}
			for _, items := range out.Responses {
				found = append(found, items...)
			}
			ask = nil
			for _, left := range out.UnprocessedKeys {
				ask = append(ask, left.Keys...)
			}
			return len(ask), nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}
