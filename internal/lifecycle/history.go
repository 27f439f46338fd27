package lifecycle

import (
	"context"
	"slices"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// Entries returns an integration's log entries of the last 30 days, newest
// first, at most 50.
func (s *Service) Entries(ctx context.Context, tenant, id string) ([]integration.LogEntry, error) {
	in, err := s.Get(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	entries, err := s.Store.Entries(ctx, store.HistoryOf(in), maxEntries)
	if err != nil {
		return nil, err
	}
	oldest := s.now().Add(-EntryRetention)
	return slices.DeleteFunc(entries, func(e integration.LogEntry) bool { return e.CreatedAt.Before(oldest) }), nil
}
