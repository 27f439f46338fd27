package sqlite

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// troubledQuery goes along the index integrations_troubled, from a place on.
const troubledQuery = "SELECT troubled_at, tenant, id, version, data FROM integrations WHERE troubled_at IS NOT NULL AND (troubled_at, tenant, id) > (?, ?, ?) " +
	"ORDER BY troubled_at, tenant, id LIMIT ?"

// Troubled implements store.Store. It reads one more than the limit, to know whether one
// follows.
func (s *Store) Troubled(ctx context.Context, after store.TroublePlace, limit int) (found []store.Troubled, next store.TroublePlace, err error) {
	if limit <= 0 {
		return nil, after, nil
	}
	err = s.each(ctx, troubledQuery, []any{nanos(after.Since), after.Tenant, after.ID, limit + 1}, func(scan func(...any) error) error {
		var since int64
		var version uint64
		var data []byte
		one := store.Troubled{}
		if err := scan(&since, &one.Tenant, &one.ID, &version, &data); err != nil {
			return err
		}
		one.Since = time.Unix(0, since).UTC()
		in := &integration.Integration{}
		if one.Err = decode(data, in); one.Err == nil {
			in.Tenant, in.ID, in.Version = one.Tenant, one.ID, version
			one.Integration = in
		}
		found = append(found, one)
		return nil
	})
	if err != nil {
		return nil, next, err
	}
	if len(found) > limit {
		found = found[:limit]
		next = found[limit-1].TroublePlace
	}
	return found, next, nil
}
