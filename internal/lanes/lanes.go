// Package lanes knows over how many lanes the events of each tenant are spread, and grows
// the number of one tenant while it publishes. Why that loses nothing is in
// docs/adr/0024-lanes-of-a-tenant.md.
package lanes

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
)

const (
	// Age is how old the number is that a publisher goes by, at most. An old one is smaller,
	// and so does no harm.
	Age = 30 * time.Second
	// readTime bounds a read, as a publish waits for it.
	readTime = time.Second
	// MaxTenants is how many tenants may have a number of their own: all of them are one
	// record, which publishers read.
	MaxTenants = 500
)

// Service has the lanes of all tenants. Every field is required. It is safe for concurrent use.
type Service struct {
	Store store.Store
	// Grow gives every integration of a tenant cursors in its lanes: lifecycle.Service's
	// GrowLanes.
	Grow     func(ctx context.Context, tenant string) error
	Settings settings.Settings // Lanes
	Logger   *slog.Logger
	Now      func() time.Time

	reading sync.Mutex // held by the one that reads
	mu      sync.Mutex
	known   event.Lanes
	readAt  time.Time // zero: never, or it must be read again
}

// Current returns the lanes that events are spread over. At most once in Age it reads them;
// callers that come meanwhile, or find that they cannot be read, go by what is known: fewer
// lanes, which have cursors too.
func (s *Service) Current(ctx context.Context) event.Lanes {
	if known, fresh := s.cached(); fresh || !s.reading.TryLock() {
		return known
	}
	defer s.reading.Unlock()
	asked := s.Now()
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	l, err := s.Store.Lanes(ctx)
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		s.Logger.WarnContext(ctx, "the lanes of tenants cannot be read; events go to those that are known", "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readAt = asked
	if err == nil {
		s.known.Own = l.Open
	}
	return s.known
}

// cached returns what is known, and whether it need not be read again yet.
func (s *Service) cached() (known event.Lanes, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known.Each = s.Settings.Lanes
	return s.known, !s.readAt.IsZero() && s.Now().Sub(s.readAt).Abs() < Age
}

// Of returns over how many lanes the events of a tenant may be spread.
func (s *Service) Of(ctx context.Context, tenant string) (int, error) {
	l, err := s.Store.Lanes(ctx)
	if err != nil {
		return 0, err
	}
	return event.Lanes{Each: s.Settings.Lanes, Own: l.Open}.Of(tenant), nil
}

// Raise gives a tenant n lanes: first every integration gets cursors in them, then they are
// opened to publishers, of whom the last one knows it after Age. A number is never lowered.
// After an error some integrations may have cursors in lanes that are not open, where nothing
// comes; repeating the call goes on. Errors: InvalidRequest, LimitReached, Conflict for a number
// that is lower, and those of the
// store and of Grow.
func (s *Service) Raise(ctx context.Context, tenant string, n int) error {
	if n < 1 || n > settings.MaxLanes {
		return problem.New(problem.InvalidRequest, "lanes is %d; it must be from 1 to %d.", n, settings.MaxLanes)
	}
	if _, err := s.opening(ctx, tenant, n); err != nil { // before anything is changed
		return err
	}
	if err := s.widen(ctx, tenant, n); err != nil {
		return err
	}
	if err := s.Grow(ctx, tenant); err != nil {
		return err
	}
	err := store.Transact(func() error {
		l, err := s.opening(ctx, tenant, n)
		if err != nil || l.Open[tenant] == n {
			return err
		}
		l.Open[tenant] = n
		return store.CommitDetached(ctx, s.Store, store.PutLanes{Lanes: l})
	})
	s.forget()
	return contended(err, tenant)
}

// widen sets how many lanes the integrations of a tenant have cursors in: who registers or
// starts one from now on gives it so many, and who is about to conflicts.
func (s *Service) widen(ctx context.Context, tenant string, n int) error {
	return contended(store.Transact(func() error {
		t, err := s.Store.Tenant(ctx, tenant)
		if err != nil || t.Lanes >= n {
			return err
		}
		t.Lanes = n
		return store.CommitDetached(ctx, s.Store, store.PutTenant{Tenant: t})
	}), tenant)
}

// opening returns the record in which n lanes of the tenant can be opened.
func (s *Service) opening(ctx context.Context, tenant string, n int) (*store.Lanes, error) {
	l, err := s.Store.Lanes(ctx)
	if err != nil {
		return nil, err
	}
	if l.Open == nil {
		l.Open = map[string]int{}
	}
	_, known := l.Open[tenant]
	switch has := max(l.Open[tenant], s.Settings.Lanes); {
	case n < has:
		return nil, problem.New(problem.Conflict,
			"lanes is %d, and the tenant has %d already; the number is never lowered, as its events are in all of them. Send %d or more.", n, has, has)
	case !known && len(l.Open) >= MaxTenants:
		return nil, problem.New(problem.LimitReached,
			"%d tenants have a number of lanes of their own, as many as may. Raise SLUICE_LANES, which is that of all others.", MaxTenants)
	}
	return l, nil
}

// forget has the next publisher of this process read the lanes.
func (s *Service) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readAt = time.Time{}
}

func contended(err error, tenant string) error {
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	return problem.Wrap(err, problem.Conflict, "Tenant %q is being modified concurrently. Send the call again.", tenant)
}
