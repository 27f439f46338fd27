// Package rejected keeps the events that a receiver refused with a 400: the
// newest of each integration, to be looked at, sent again or deleted.
package rejected

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// Targets opens the sink of an integration: worker.Registry.
type Targets interface {
	Target(ctx context.Context, in *integration.Integration) (*worker.Target, error)
}

// Integrations finds an integration, or fails with problem.NotFound:
// lifecycle.Service.
type Integrations interface {
	Get(ctx context.Context, tenant, id string) (*integration.Integration, error)
}

// Options are what a Service needs. All are required.
type Options struct {
	Store        store.Store
	Integrations Integrations
	Targets      Targets
	Settings     settings.Settings // MaxRejected and WebhookTimeout
	Logger       *slog.Logger
	Now          func() time.Time
}

// Service keeps rejected events. Its methods are safe for concurrent use, by
// several processes too. Their errors are of package problem: NotFound where
// there is no such integration or event.
type Service struct {
	Options
	turns turns
}

// New returns a service.
func New(o Options) *Service { return &Service{Options: o} }

// List returns an integration's rejected events, newest first, at most
// Settings.MaxRejected.
func (s *Service) List(ctx context.Context, tenant, id string) ([]integration.RejectedEntry, error) {
	in, err := s.Integrations.Get(ctx, tenant, id)
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

// Get returns one rejected event.
func (s *Service) Get(ctx context.Context, tenant, id, eventID string) (*integration.Rejected, error) {
	in, err := s.Integrations.Get(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	return s.get(ctx, in, eventID)
}

func (s *Service) get(ctx context.Context, in *integration.Integration, eventID string) (*integration.Rejected, error) {
	if len(eventID) > maxEventID {
		return nil, notFound(in.ID, eventID)
	}
	r, err := s.Store.Rejected(ctx, store.HistoryOf(in), eventID)
	if problem.CodeOf(err) == problem.NotFound {
		return nil, notFound(in.ID, eventID)
	}
	return r, err
}

// Delete removes a rejected event for good. A retry of it that is in flight is
// not called back.
func (s *Service) Delete(ctx context.Context, tenant, id, eventID string) error {
	err := store.Transact(func() error {
		in, err := s.Integrations.Get(ctx, tenant, id)
		if err != nil {
			return err
		}
		h := store.HistoryOf(in)
		index, err := s.Store.RejectedIndex(ctx, h)
		if err != nil {
			return err
		}
		if !index.Contains(eventID) {
			return notFound(id, eventID)
		}
		index.Remove(eventID)
		return store.CommitDetached(ctx, s.Store,
			store.PutRejectedIndex{History: h, Index: index},
			store.DeleteRejected{History: h, EventID: eventID})
	})
	return store.Contended(err, id)
}

// maxEventID is the length of an event's id, a UUID; a longer one could be too
// long for the store's keys.
const maxEventID = 36

func notFound(id, eventID string) error {
	if len(eventID) > maxEventID {
		eventID = eventID[:maxEventID] + "…"
	}
	return problem.New(problem.NotFound, "Integration %q has no rejected event %q; it may have been retried, deleted or evicted.", id, eventID)
}
