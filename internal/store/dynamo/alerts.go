package dynamo

import (
	"context"
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/store"
)

// Alerts implements store.Store. As with Due, one that has just been written may be
// missing. The alerts are read from the table, so that none is returned that was moved or
// removed; the result can be shorter than limit although more are due.
func (s *Store) Alerts(ctx context.Context, before time.Time, limit int) ([]*store.Alert, error) {
	due, err := s.dueItems(ctx, kindAlert, before, limit)
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
	var alerts []*store.Alert
	for _, it := range items {
		a := &store.Alert{}
		if err := it.decodeVersioned(a, &a.Version); err != nil {
			return nil, err
		}
		if !a.DueAt.After(before) {
			alerts = append(alerts, a)
		}
	}
	slices.SortFunc(alerts, (*store.Alert).Compare)
	return alerts, nil
}
