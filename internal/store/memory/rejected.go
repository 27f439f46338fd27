package memory

import (
	"context"
	"slices"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// RejectedCount implements store.Store.
func (s *Store) RejectedCount(ctx context.Context, h store.History) (*integration.RejectedCount, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	life := s.histories[h]
	if life == nil || life.count == nil {
		return &integration.RejectedCount{}, nil
	}
	return cloneCount(life.count), nil
}

// NewestRejected implements store.Store.
func (s *Store) NewestRejected(ctx context.Context, h store.History, after integration.RejectedRef, limit int) ([]integration.RejectedRef, error) {
	refs, err := s.refs(ctx, h)
	if err != nil {
		return nil, err
	}
	slices.Reverse(refs)
	if after.EventID != "" {
		refs = slices.DeleteFunc(refs, func(r integration.RejectedRef) bool { return r.Compare(after) >= 0 })
	}
	return refs[:min(len(refs), max(limit, 0))], nil
}

// OldestRejected implements store.Store.
func (s *Store) OldestRejected(ctx context.Context, h store.History, limit int) ([]integration.RejectedRef, error) {
	refs, err := s.refs(ctx, h)
	return refs[:min(len(refs), max(limit, 0))], err
}

// refs returns the list of a history, oldest first.
func (s *Store) refs(ctx context.Context, h store.History) ([]integration.RejectedRef, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var refs []integration.RejectedRef
	if life := s.histories[h]; life != nil {
		for _, r := range life.rejected {
			refs = append(refs, r.Ref())
		}
	}
	slices.SortFunc(refs, integration.RejectedRef.Compare)
	return refs, nil
}
