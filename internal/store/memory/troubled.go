package memory

import (
	"context"
	"slices"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// Troubled implements store.Store.
func (s *Store) Troubled(ctx context.Context, after store.TroublePlace, limit int) (found []*integration.Integration, next store.TroublePlace, err error) {
	if err := s.lock(ctx); err != nil {
		return nil, next, err
	}
	defer s.mu.Unlock()
	for _, in := range s.integrations {
		if !in.Alerts.Since.IsZero() && store.PlaceOfTrouble(in).Compare(after) > 0 {
			found = append(found, cloneIntegration(in))
		}
	}
	slices.SortFunc(found, func(a, b *integration.Integration) int {
		return store.PlaceOfTrouble(a).Compare(store.PlaceOfTrouble(b))
	})
	if limit = max(limit, 0); limit < len(found) {
		found = found[:limit]
		if next = after; limit > 0 {
			next = store.PlaceOfTrouble(found[limit-1])
		}
	}
	return found, next, nil
}
