package sqlite

import (
	"context"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// troubledQuery goes along the index integrations_troubled, from a place on.
const troubledQuery = "SELECT tenant, id, version, data FROM integrations WHERE troubled_at IS NOT NULL AND (troubled_at, tenant, id) > (?, ?, ?) " +
	"ORDER BY troubled_at, tenant, id LIMIT ?"

// Troubled implements store.Store. It reads one more than the limit, to know whether one
// follows.
func (s *Store) Troubled(ctx context.Context, after store.TroublePlace, limit int) (found []*integration.Integration, next store.TroublePlace, err error) {
	if limit <= 0 {
		return nil, after, nil
	}
	if found, err = s.integrations(ctx, troubledQuery, nanos(after.Since), after.Tenant, after.ID, limit+1); err != nil {
		return nil, next, err
	}
	if len(found) > limit {
		found = found[:limit]
		next = store.PlaceOfTrouble(found[limit-1])
	}
	return found, next, nil
}
