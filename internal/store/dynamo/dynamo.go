// Package dynamo implements the store in one DynamoDB table, which it shares with
// the log; package dynamotable describes the table. A record is one item: the
// fields it is looked up by are attributes, the rest is JSON. keys.go makes all
// keys.
//
// Versions are random numbers: they are never reused, and a retried write whose
// response was lost recognises its own. An item is limited to 400 KB: a rejected
// event has up to 256 KiB, and all other records are far smaller.
package dynamo

import (
	"context"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/dynamotable"
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

	// DeliveriesLost, unless nil, is called when a delivery record could not be written after
	// the commit that it belongs to. Set it before the first use.
	DeliveriesLost func(error)

	lastCommit atomic.Int64 // the highest commit number used
}

// New returns a store over the given table, which must exist. now is the clock
// that log entries expire by.
func New(client *dynamodb.Client, table string, now func() time.Time) *Store {
	return &Store{client: client, table: &table, now: now}
}

var _ store.Store = (*Store)(nil)

// Verb phrases for awserror.Problem: what the service could not do.
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

// Lanes implements store.Store.
func (s *Store) Lanes(ctx context.Context) (*store.Lanes, error) {
	l := &store.Lanes{}
	if _, err := s.get(ctx, lanesKey, l, &l.Version); err != nil {
		return nil, err
	}
	return l, nil
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
	return it.integration()
}

// Integrations implements store.Store.
func (s *Store) Integrations(ctx context.Context, tenant string) ([]*integration.Integration, error) {
	k := integrationKey(tenant, "")
	var found []*integration.Integration
	expr := expression.NewBuilder().WithKeyCondition(inPartition(k.PK).And(expression.Key(dynamotable.SK).BeginsWith(k.SK)))
	for it, err := range s.query(ctx, dynamodb.QueryInput{ConsistentRead: aws.Bool(true)}, expr) {
		if err != nil {
			return nil, err
		}
		in, err := it.integration()
		if err != nil {
			return nil, err
		}
		found = append(found, in)
	}
	return found, nil
}

// Partition implements store.Store.
func (s *Store) Partition(ctx context.Context, p event.Partition) (*handoff.PartitionState, error) {
	r := &handoff.PartitionState{}
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
		return nil, problem.New(problem.NotFound, "Integration %q has no cursor in lane %d.", k.Integration, k.Lane)
	}
	c.Key = k
	return c, nil
}

// get reads an item into a record and reports whether there is one.
func (s *Store) get(ctx context.Context, k key, record any, version *uint64) (bool, error) {
	it, err := s.item(ctx, k)
	if err != nil || it == nil {
		return false, err
	}
	return true, it.decodeVersioned(record, version)
}

// item reads an item; nil if there is none.
func (s *Store) item(ctx context.Context, k key) (*item, error) {
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: s.table, Key: k.Attributes(), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, awserror.Problem(err, toRead)
	}
	if out.Item == nil {
		return nil, nil
	}
	return itemOf(out.Item)
}

// batchGet is the maximum number of items in a BatchGetItem.
const batchGet = 100

// items reads the items with the given keys, in any order; missing ones are left
// out.
func (s *Store) items(ctx context.Context, keys []key) ([]*item, error) {
	var found []*item
	for batch := range slices.Chunk(keys, batchGet) {
		var ask []attributes
		for _, k := range batch {
			ask = append(ask, k.Attributes())
		}
		err := s.repeat(ctx, len(ask), func() (int, error) {
			out, err := s.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
				RequestItems: map[string]types.KeysAndAttributes{*s.table: {Keys: ask, ConsistentRead: aws.Bool(true)}},
			})
			if err != nil {
				return 0, awserror.Problem(err, toRead)
			}
			for _, attrs := range out.Responses[*s.table] {
				it, err := itemOf(attrs)
				if err != nil {
					return 0, err
				}
				found = append(found, it)
			}
			ask = out.UnprocessedKeys[*s.table].Keys
			return len(ask), nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// inPartition returns the key condition for all items under a partition key.
func inPartition(pk string) expression.KeyConditionBuilder {
	return expression.Key(dynamotable.PK).Equal(expression.Value(pk))
}

// query iterates over the items that a query finds, page by page, and ends after
// the first error. It sets the table and the expressions of the input.
func (s *Store) query(ctx context.Context, in dynamodb.QueryInput, b expression.Builder) iter.Seq2[*item, error] {
	return func(yield func(*item, error) bool) {
		expr, err := b.Build()
		if err != nil {
			yield(nil, err)
			return
		}
		in.TableName, in.KeyConditionExpression, in.ProjectionExpression = s.table, expr.KeyCondition(), expr.Projection()
		in.ExpressionAttributeNames, in.ExpressionAttributeValues = expr.Names(), expr.Values()
		for pages := dynamodb.NewQueryPaginator(s.client, &in); pages.HasMorePages(); {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(nil, awserror.Problem(err, toRead))
				return
			}
			for _, attrs := range page.Items {
				it, err := itemOf(attrs)
				if !yield(it, err) || err != nil {
					return
				}
			}
		}
	}
}
