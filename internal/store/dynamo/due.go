package dynamo

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"golang.org/x/sync/errgroup"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
)

// dueItem is an item of the due index.
type dueItem struct {
	key
	due int64 // ms since 1970
}

// Due implements store.Store with two limits. The index is eventually consistent:
// a recent write may be missing or listed at its earlier time. And its times are
// whole milliseconds. Both are harmless: the cursor itself is read before it is
// advanced, and the next sweep finds what was missing.
func (s *Store) Due(ctx context.Context, before time.Time, limit int) ([]handoff.Key, error) {
	items, err := s.dueItems(ctx, kindDue, before, limit)
	if err != nil {
		return nil, err
	}
	type cursor struct {
		handoff.Key
		due int64
	}
	cursors := make([]cursor, len(items))
	for i, it := range items {
		k, ok := cursorOf(it.key)
		if !ok {
			return nil, problem.New(problem.Internal, "item %q %q in the due index is not a cursor", it.PK, it.SK)
		}
		cursors[i] = cursor{k, it.due}
	}
	slices.SortFunc(cursors, func(a, b cursor) int {
		return cmp.Or(cmp.Compare(a.due, b.due), strings.Compare(a.Tenant, b.Tenant),
			strings.Compare(a.Integration, b.Integration), cmp.Compare(a.Lane, b.Lane))
	})
	var due []handoff.Key
	for _, c := range cursors[:min(len(cursors), max(limit, 0))] {
		due = append(due, c.Key)
	}
	return due, nil
}

// ExpiredReplays implements store.Store. As with Due, a replay that has just
// completed may be missing until the next sweep. The integrations are read from
// the table, so that none is returned that was deleted or registered again; the
// result can therefore be shorter than limit although more have expired.
func (s *Store) ExpiredReplays(ctx context.Context, before time.Time, limit int) ([]*integration.Integration, error) {
	due, err := s.dueItems(ctx, kindExpired, before, limit)
	if err != nil {
		return nil, err
	}
	var keys []key
	for _, it := range longestDue(due, limit) {
		keys = append(keys, it.key)
	}
	items, err := s.items(ctx, keys)
	if err != nil {
		return nil, err
	}
	var expired []*integration.Integration
	for _, it := range items {
		in, err := it.integration()
		if err != nil {
			return nil, err
		}
		if !in.CompletedAt.IsZero() && !in.CompletedAt.After(before) {
			expired = append(expired, in)
		}
	}
	slices.SortFunc(expired, func(a, b *integration.Integration) int {
		return cmp.Or(a.CompletedAt.Compare(b.CompletedAt), strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.ID, b.ID))
	})
	return expired, nil
}

// longestDue returns up to limit items, the longest overdue first.
func longestDue(items []dueItem, limit int) []dueItem {
	slices.SortFunc(items, func(a, b dueItem) int {
		return cmp.Or(cmp.Compare(a.due, b.due), strings.Compare(a.PK, b.PK), strings.Compare(a.SK, b.SK))
	})
	return items[:min(len(items), max(limit, 0))]
}

// dueItems returns the items of a kind that are due at or before the given time,
// in no order. It reads the longest overdue of each shard, up to limit, so the
// longest overdue of all shards are among them.
func (s *Store) dueItems(ctx context.Context, kind string, before time.Time, limit int) ([]dueItem, error) {
	if limit <= 0 {
		return nil, nil
	}
	var found [shards][]dueItem
	g, ctx := errgroup.WithContext(ctx)
	for n := range found {
		g.Go(func() (err error) {
			found[n], err = s.shard(ctx, dueShard(kind, n), before, limit)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found[:]...), nil
}

func (s *Store) shard(ctx context.Context, shard string, before time.Time, limit int) ([]dueItem, error) {
	expr := expression.NewBuilder().WithKeyCondition(expression.Key(dynamotable.DueShard).Equal(expression.Value(shard)).
		And(expression.Key(dynamotable.Due).LessThanEqual(expression.Value(before.UnixMilli()))))
	var due []dueItem
	for it, err := range s.query(ctx, dynamodb.QueryInput{IndexName: aws.String(dynamotable.DueIndex), Limit: pageSize(limit)}, expr) {
		if err != nil {
			return nil, err
		}
		if it.Due == nil {
			return nil, problem.New(problem.Internal, "item %q %q in the due index has no %s", it.PK, it.SK, dynamotable.Due)
		}
		if due = append(due, dueItem{it.key, *it.Due}); len(due) == limit {
			break
		}
	}
	return due, nil
}

// pageSize returns the page limit of a query for that many items.
func pageSize(items int) *int32 { return aws.Int32(int32(min(items, 1000))) }
