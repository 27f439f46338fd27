package dynamo

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"golang.org/x/sync/errgroup"

	"github.com/sluicehq/sluice/internal/awserror"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
)

// row is one of the timetable.
type row struct {
	key
	due int64 // ms since 1970
}

// Due implements store.Store, but for two things. The timetable is an index,
// which follows the table a moment later: what was just written may be missing,
// or be listed at its earlier time. And it is in whole milliseconds. It does no
// harm: whoever drives a cursor reads its record, and what is missing is found
// by the next sweep.
func (s *Store) Due(ctx context.Context, before time.Time, limit int) ([]handoff.Key, error) {
	rows, err := s.rows(ctx, kindDue, before, limit)
	if err != nil {
		return nil, err
	}
	type cursor struct {
		handoff.Key
		due int64
	}
	cursors := make([]cursor, len(rows))
	for i, r := range rows {
		k, ok := cursorOf(r.key)
		if !ok {
			return nil, problem.New(problem.Internal, "the item %q %q of the timetable is no cursor", r.pk, r.sk)
		}
		cursors[i] = cursor{k, r.due}
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

// Graces implements store.Store, with the timetable's weakness that Due tells
// of: a replay that was completed just now may be missing until the next sweep.
// The integrations are read from the table, so that none is returned that was
// deleted or started since; there can be fewer than limit for it.
func (s *Store) Graces(ctx context.Context, before time.Time, limit int) ([]*integration.Integration, error) {
	rows, err := s.rows(ctx, kindGrace, before, limit)
	if err != nil {
		return nil, err
	}
	keys := make([]key, 0, len(rows))
	for _, r := range first(rows, limit) {
		keys = append(keys, r.key)
	}
	items, err := s.items(ctx, keys)
	if err != nil {
		return nil, err
	}
	var over []*integration.Integration
	for _, it := range items {
		in, err := decodeIntegration(it)
		if err != nil {
			return nil, err
		}
		if !in.CompletedAt.IsZero() && !in.CompletedAt.After(before) {
			over = append(over, in)
		}
	}
	slices.SortFunc(over, func(a, b *integration.Integration) int {
		return cmp.Or(a.CompletedAt.Compare(b.CompletedAt), strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.ID, b.ID))
	})
	return over, nil
}

// first returns up to limit rows, the longest overdue first.
func first(rows []row, limit int) []row {
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.due, b.due), strings.Compare(a.pk, b.pk), strings.Compare(a.sk, b.sk))
	})
	return rows[:min(len(rows), max(limit, 0))]
}

// rows returns, in no order, the rows of a kind that are due at or before the
// given time. Of each shard they are the longest overdue, up to limit, so that
// the longest overdue of all are among them.
func (s *Store) rows(ctx context.Context, kind string, before time.Time, limit int) ([]row, error) {
	if limit <= 0 {
		return nil, nil
	}
	var found [shards][]row
	g, ctx := errgroup.WithContext(ctx)
	for n := range found {
		g.Go(func() (err error) {
			found[n], err = s.shard(ctx, timetableShard(kind, n), before, limit)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found[:]...), nil
}

func (s *Store) shard(ctx context.Context, hash string, before time.Time, limit int) ([]row, error) {
	pages := dynamodb.NewQueryPaginator(s.client, &dynamodb.QueryInput{
		TableName: s.table, IndexName: aws.String(timetableIndex), Limit: pageSize(limit),
		KeyConditionExpression:    aws.String("#hash = :hash AND #due <= :before"),
		ExpressionAttributeNames:  map[string]string{"#hash": attrTimetable, "#due": attrDue},
		ExpressionAttributeValues: item{":hash": text(hash), ":before": number(before.UnixMilli())},
	})
	var rows []row
	for pages.HasMorePages() && len(rows) < limit {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, awserror.Problem(err, toRead)
		}
		for _, it := range page.Items {
			due, ok := dueOf(it)
			if !ok {
				return nil, problem.New(problem.Internal, "the item %q %q of the timetable has no %s", keyOf(it).pk, keyOf(it).sk, attrDue)
			}
			rows = append(rows, row{keyOf(it), due})
		}
	}
	return rows, nil
}

// pageSize is the limit of a query that wants so many items.
func pageSize(items int) *int32 { return aws.Int32(int32(min(items, 1000))) }
