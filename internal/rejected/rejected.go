// Package rejected stores the events that a receiver rejected with a 400. Users
// can list them, retry them and delete them. Only the newest of each integration
// are kept.
package rejected

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// Targets opens the sink of an integration, which is then released: worker.Registry.
type Targets interface {
	Target(ctx context.Context, in *integration.Integration) (*worker.Target, error)
}

// Integrations returns an integration, or problem.NotFound: lifecycle.Service.
type Integrations interface {
	Get(ctx context.Context, tenant, id string) (*integration.Integration, error)
}

// Options are what a Service needs. All are required.
type Options struct {
	Store        store.Store
	Integrations Integrations
	Targets      Targets
	Settings     settings.Settings // MaxRejected and LongestCall
	Logger       *slog.Logger
	Now          func() time.Time
}

// Service stores rejected events. Its methods are safe for concurrent use, also
// from several processes. Their errors have a code of package problem: NotFound
// if there is no such integration or event.
type Service struct {
	Options
	turns turns
}

// New returns a service.
func New(o Options) *Service { return &Service{Options: o} }

// List returns up to limit of an integration's rejected events, newest first, from one on
// and without it: one that the list has, or had. The zero one is before the newest. A limit
// of 0 is Settings.MaxRejected.
func (s *Service) List(ctx context.Context, tenant, id string, after integration.RejectedRef, limit int) ([]integration.RejectedRef, error) {
	in, err := s.Integrations.Get(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	return s.Store.NewestRejected(ctx, store.HistoryOf(in), after, cmp.Or(limit, s.Settings.MaxRejected))
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

// Delete removes a rejected event permanently. It does not cancel a retry that is
// in flight.
func (s *Service) Delete(ctx context.Context, tenant, id, eventID string) error {
	err := store.Transact(func() error {
		in, err := s.Integrations.Get(ctx, tenant, id)
		if err != nil {
			return err
		}
		if len(eventID) > maxEventID {
			return notFound(id, eventID)
		}
		h := store.HistoryOf(in)
		writes, err := s.removal(ctx, h, eventID)
		if problem.CodeOf(err) == problem.NotFound {
			return notFound(id, eventID)
		}
		if err != nil {
			return err
		}
		return store.CommitDetached(ctx, s.Store, append(writes, s.deletion(h, eventID))...)
	})
	return store.Contended(err, id)
}

// deletion is the entry of a commit that deletes events from the list.
func (s *Service) deletion(h store.History, eventIDs ...string) store.AddEntry {
	if len(eventIDs) == 1 {
		return entry(h, s.Now(), integration.ActionRejectedDeleted, "Rejected event %s was deleted via API.", eventIDs[0])
	}
	return entry(h, s.Now(), integration.ActionRejectedDeleted, "%d rejected events were deleted via API: %s.", len(eventIDs), strings.Join(eventIDs, ", "))
}

// removal returns the writes that remove an event from the list, or problem.NotFound if
// it is not there.
func (s *Service) removal(ctx context.Context, h store.History, eventID string) ([]store.Write, error) {
	count, err := s.Store.RejectedCount(ctx, h) // first: what joins or leaves the list after it is a conflict
	if err != nil {
		return nil, err
	}
	r, err := s.Store.Rejected(ctx, h, eventID)
	if err != nil {
		return nil, err
	}
	count.Remove(eventID)
	return []store.Write{store.PutRejectedCount{History: h, Count: count}, store.DeleteRejected{History: h, Ref: r.Ref()}}, nil
}

// maxEventID is the length of an event id, a UUID. Longer ones may exceed the
// store's limit for keys.
const maxEventID = 36

func notFound(id, eventID string) error {
	if len(eventID) > maxEventID {
		eventID = eventID[:maxEventID] + "…"
	}
	return problem.New(problem.NotFound, "Integration %q has no rejected event %q; it may have been retried, deleted or evicted.", id, eventID)
}
