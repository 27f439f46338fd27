package lifecycle

import (
	"context"
	"slices"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// Entries returns an integration's newest 50 log entries, newest first, none
// older than 30 days.
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

// RejectedEvents lists the events that an integration's receiver refused,
// newest first, at most Settings.MaxRejected.
func (s *Service) RejectedEvents(ctx context.Context, tenant, id string) ([]integration.RejectedEntry, error) {
	in, err := s.Get(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	index, err := s.Store.RejectedIndex(ctx, store.HistoryOf(in))
	if err != nil {
		return nil, err
	}
	slices.Reverse(index.Entries)
	return index.Entries[:min(len(index.Entries), s.Settings.MaxRejected)], nil
}

// RejectedEvent returns one rejected event, or problem.NotFound.
func (s *Service) RejectedEvent(ctx context.Context, tenant, id, eventID string) (*integration.Rejected, error) {
	in, err := s.Get(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	if len(eventID) > maxEventID {
		return nil, notRejected(id, eventID)
	}
	rejected, err := s.Store.Rejected(ctx, store.HistoryOf(in), eventID)
	if problem.CodeOf(err) == problem.NotFound {
		return nil, notRejected(id, eventID)
	}
	return rejected, err
}

// DeleteRejected forgets a rejected event for good. A retry of it that is under
// way is not called back.
func (s *Service) DeleteRejected(ctx context.Context, tenant, id, eventID string) error {
	return transact(id, func() error {
		in, err := s.Get(ctx, tenant, id)
		if err != nil {
			return err
		}
		h := store.HistoryOf(in)
		index, err := s.Store.RejectedIndex(ctx, h)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(index.Entries, func(e integration.RejectedEntry) bool { return e.EventID == eventID })
		if at < 0 {
			return notRejected(id, eventID)
		}
		index.Entries = slices.Delete(index.Entries, at, at+1)
		return s.commit(ctx,
			store.PutRejectedIndex{History: h, Index: index},
			store.DeleteRejected{History: h, EventID: eventID})
	})
}

// maxEventID is the length of an event's id, a UUID; a longer one could be too
// long for the store's keys.
const maxEventID = 36

func notRejected(id, eventID string) error {
	if len(eventID) > maxEventID {
		eventID = eventID[:maxEventID] + "…"
	}
	return problem.New(problem.NotFound, "Integration %q has no rejected event %q; it may have been retried, deleted or evicted.", id, eventID)
}
