package dynamo

import (
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/expression"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"golang.org/x/sync/errgroup"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// indexed returns what the due index has of an integration: when a replay completed, or
// since when it is in trouble. A complete replay is in none.
func indexed(in *integration.Integration) (kind string, at time.Time) {
	if !in.CompletedAt.IsZero() || in.Alerts.Since.IsZero() {
		return kindExpired, in.CompletedAt
	}
	return kindTrouble, in.Alerts.Since
}

// Troubled implements store.Store. The index is eventually consistent, so the integrations
// are read from the table: those that are no longer in trouble are left out. It reads the
// keys of each shard, up to limit, and one record for each that is returned.
func (s *Store) Troubled(ctx context.Context, after store.TroublePlace, limit int) (found []store.Troubled, next store.TroublePlace, err error) {
	if limit <= 0 {
		return nil, after, nil
	}
	places, err := s.troublePlaces(ctx, after, limit+1)
	if err != nil {
		return nil, next, err
	}
	if len(places) > limit {
		places = places[:limit]
		next = places[limit-1]
	}
	keys, since := make([]key, len(places)), make(map[key]store.TroublePlace, len(places))
	for i, p := range places {
		keys[i] = integrationKey(p.Tenant, p.ID)
		since[keys[i]] = p
	}
	items, err := s.items(ctx, keys)
	if err != nil {
		return nil, next, err
	}
	for _, it := range items {
		one := store.Troubled{TroublePlace: since[it.key]}
		if one.Integration, one.Err = it.integration(); one.Err == nil {
			if kind, _ := indexed(one.Integration); kind != kindTrouble {
				continue
			}
			one.TroublePlace = store.PlaceOfTrouble(one.Integration)
		}
		found = append(found, one)
	}
	slices.SortFunc(found, func(a, b store.Troubled) int { return a.Compare(b.TroublePlace) })
	return found, next, nil
}

// troublePlaces returns up to limit places after one, in their order, as the index has them.
func (s *Store) troublePlaces(ctx context.Context, after store.TroublePlace, limit int) ([]store.TroublePlace, error) {
	var found [shards][]store.TroublePlace
	g, ctx := errgroup.WithContext(ctx)
	for n := range found {
		g.Go(func() (err error) {
			found[n], err = s.troubleShard(ctx, dueShard(kindTrouble, n), after, limit)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	all := slices.Concat(found[:]...)
	slices.SortFunc(all, store.TroublePlace.Compare)
	return all[:min(len(all), limit)], nil
}

// troubleShard returns the first places of a shard after one: at least limit if it has so
// many. Those of one millisecond are in no order, so it returns all of the last one. A page
// has the place itself too, and the one that shows that the last millisecond is over.
func (s *Store) troubleShard(ctx context.Context, shard string, after store.TroublePlace, limit int) (found []store.TroublePlace, err error) {
	from := max(after.Since.UnixMilli(), 0) // the zero time is before 1970
	expr := expression.NewBuilder().WithKeyCondition(expression.Key(dynamotable.DueShard).Equal(expression.Value(shard)).
		And(expression.Key(dynamotable.Due).GreaterThanEqual(expression.Value(from))))
	for it, err := range s.query(ctx, dynamodb.QueryInput{IndexName: aws.String(dynamotable.DueIndex), Limit: pageSize(limit + 2)}, expr) {
		if err != nil {
			return nil, err
		}
		tenant, id, ok := integrationOf(it.key)
		if !ok || it.Due == nil {
			return nil, problem.New(problem.Internal, "item %q %q among those in trouble is not an integration", it.PK, it.SK)
		}
		p := store.TroublePlace{Since: time.UnixMilli(*it.Due).UTC(), Tenant: tenant, ID: id}
		if n := len(found); n >= limit && p.Since.After(found[n-1].Since) {
			break
		}
		if p.Compare(after) > 0 {
			found = append(found, p)
		}
	}
	return found, nil
}
