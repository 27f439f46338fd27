package memory

import (
	"context"
	"slices"

	"github.com/sluicehq/sluice/internal/store"
)

// Troubled implements store.Store.
func (s *Store) Troubled(ctx context.Context, after store.TroublePlace, limit int) (found []store.Troubled, next store.TroublePlace, err error) {
	if err := s.lock(ctx); err != nil {
		return nil, next, err
	}
	defer s.mu.Unlock()
	for _, in := range s.integrations {
		if place := store.PlaceOfTrouble(in); !place.Since.IsZero() && place.Compare(after) > 0 {
			found = append(found, store.Troubled{TroublePlace: place, Integration: cloneIntegration(in)})
		}
	}
	slices.SortFunc(found, func(a, b store.Troubled) int { return a.Compare(b.TroublePlace) })
	if limit = max(limit, 0); limit < len(found) {
		found = found[:limit]
		if next = after; limit > 0 {
			next = found[limit-1].TroublePlace
		}
	}
	return found, next, nil
}
