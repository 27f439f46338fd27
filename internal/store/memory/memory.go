// Package memory implements the store in memory, as a double for tests: it keeps
// every promise of the port and no data beyond the process.
package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// Store implements store.Store in maps.
type Store struct {
	mu           sync.Mutex
	version      uint64 // the last one assigned, to any record: never reused
	tenants      map[string]*store.Tenant
	lanes        *store.Lanes // not modified any more
	integrations map[integrationKey]*integration.Integration
	records      map[event.Partition]*handoff.PartitionState
	cursors      map[handoff.Key]*handoff.Cursor
	due          map[handoff.Key]time.Time // the due index: none is later than the cursor's DueAt
	histories    map[store.History]*history
	deliveries   map[deliveriesKey][]deliveries.Record // in the order of their At
	alerts       map[alertKey]*store.Alert
}

type alertKey struct {
	history store.History
	number  uint64
}

func alertKeyOf(a *store.Alert) alertKey { return alertKey{a.History, a.Number} }

type integrationKey struct{ tenant, id string }

// history is the log and the rejected events of one incarnation of an
// integration.
type history struct {
	entries  []integration.LogEntry // in the order of their commits
	count    *integration.RejectedCount
	rejected map[string]*integration.Rejected
}

// New returns an empty store.
func New() *Store {
	return &Store{
		tenants:      map[string]*store.Tenant{},
		lanes:        &store.Lanes{},
		integrations: map[integrationKey]*integration.Integration{},
		records:      map[event.Partition]*handoff.PartitionState{},
		cursors:      map[handoff.Key]*handoff.Cursor{},
		due:          map[handoff.Key]time.Time{},
		histories:    map[store.History]*history{},
		deliveries:   map[deliveriesKey][]deliveries.Record{},
		alerts:       map[alertKey]*store.Alert{},
	}
}

var _ store.Store = (*Store)(nil)

// lock locks the store, or returns an error if the context has ended.
func (s *Store) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return problem.Wrap(err, problem.Unavailable, "The request ended before its records could be reached. Try again.")
	}
	s.mu.Lock()
	return nil
}

// Tenant implements store.Store.
func (s *Store) Tenant(ctx context.Context, tenant string) (*store.Tenant, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if t := s.tenants[tenant]; t != nil {
		return cloneTenant(t), nil
	}
	return &store.Tenant{Name: tenant}, nil
}

// Lanes implements store.Store.
func (s *Store) Lanes(ctx context.Context) (*store.Lanes, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return cloneLanes(s.lanes), nil
}

// Integration implements store.Store.
func (s *Store) Integration(ctx context.Context, tenant, id string) (*integration.Integration, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	in := s.integrations[integrationKey{tenant, id}]
	if in == nil {
		return nil, problem.New(problem.NotFound, "There is no integration %q.", id)
	}
	return cloneIntegration(in), nil
}

// Integrations implements store.Store.
func (s *Store) Integrations(ctx context.Context, tenant string) ([]*integration.Integration, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var found []*integration.Integration
	for k, in := range s.integrations {
		if k.tenant == tenant {
			found = append(found, cloneIntegration(in))
		}
	}
	slices.SortFunc(found, func(a, b *integration.Integration) int { return strings.Compare(a.ID, b.ID) })
	return found, nil
}

// Partition implements store.Store.
func (s *Store) Partition(ctx context.Context, p event.Partition) (*handoff.PartitionState, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if r := s.records[p]; r != nil {
		return clonePartition(r), nil
	}
	return &handoff.PartitionState{Partition: p}, nil
}

// Cursor implements store.Store.
func (s *Store) Cursor(ctx context.Context, k handoff.Key) (*handoff.Cursor, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	c := s.cursors[k]
	if c == nil {
		return nil, problem.New(problem.NotFound, "Integration %q has no cursor in lane %d.", k.Integration, k.Lane)
	}
	return cloneCursor(c), nil
}

// Due implements store.Store.
func (s *Store) Due(ctx context.Context, before time.Time, limit int) ([]handoff.Key, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var due []handoff.Key
	for k, at := range s.due {
		if !at.After(before) {
			due = append(due, k)
		}
	}
	slices.SortFunc(due, func(a, b handoff.Key) int {
		return cmp.Or(s.due[a].Compare(s.due[b]), strings.Compare(a.Tenant, b.Tenant),
			strings.Compare(a.Integration, b.Integration), cmp.Compare(a.Lane, b.Lane))
	})
	return due[:min(len(due), max(limit, 0))], nil
}

// ExpiredReplays implements store.Store.
func (s *Store) ExpiredReplays(ctx context.Context, before time.Time, limit int) ([]*integration.Integration, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	expired := slices.SortedFunc(maps.Values(s.integrations), func(a, b *integration.Integration) int {
		return cmp.Or(a.CompletedAt.Compare(b.CompletedAt), strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.ID, b.ID))
	})
	expired = slices.DeleteFunc(expired, func(in *integration.Integration) bool {
		return in.CompletedAt.IsZero() || in.CompletedAt.After(before)
	})
	expired = expired[:min(len(expired), max(limit, 0))]
	for i, in := range expired {
		expired[i] = cloneIntegration(in)
	}
	return expired, nil
}

// Rejected implements store.Store.
func (s *Store) Rejected(ctx context.Context, h store.History, eventID string) (*integration.Rejected, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	if life := s.histories[h]; life != nil && life.rejected[eventID] != nil {
		return cloneRejected(life.rejected[eventID]), nil
	}
	return nil, problem.New(problem.NotFound, "There is no rejected event %q.", eventID)
}

// Alerts implements store.Store.
func (s *Store) Alerts(ctx context.Context, before time.Time, limit int) ([]*store.Alert, error) {
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var due []*store.Alert
	for _, a := range s.alerts {
		if !a.DueAt.After(before) {
			due = append(due, cloneAlert(a))
		}
	}
	slices.SortFunc(due, (*store.Alert).Compare)
	return due[:min(len(due), max(limit, 0))], nil
}
