// Package lifecycle registers, updates, starts, stops and deletes integrations.
// Each change is one Commit of the store, computed from records read just
// before; if one of them has changed by then, the change is computed again from
// new reads.
//
// A call that returns another error may still have taken effect: only its
// response may be lost. Repeating a start, stop, update or deletion is harmless;
// repeating a registration returns AlreadyExists.
package lifecycle

import (
	"context"
	"errors"
	"time"

	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/usertext"
)

// Service makes the changes. Every field but Newest, Quiesce, Retire and Probe is required. Methods are
// safe for concurrent use, also by several processes. Errors are of package
// problem: NotFound if there is no such integration, Conflict if the same records
// kept changing concurrently, and those of the ports, unchanged. Returned
// integrations belong to the caller; their secrets are sealed.
type Service struct {
	Store    store.Store
	Log      eventlog.Log
	Sealer   secret.Sealer
	Settings settings.Settings
	Now      func() time.Time

	// CheckTarget resolves a URL and rejects an address that must not be called,
	// with problem.InvalidTarget. Its message completes a sentence about the
	// field and has no full stop.
	CheckTarget func(ctx context.Context, url string) error

	// Newest returns a stored cursor with the failed attempts that are not saved yet, so
	// that a stop does not forget which event its stream waits for. Nil if all are saved.
	Newest func(*handoff.Cursor) *handoff.Cursor

	// Schedule tells the scheduler, after a Commit, that these cursors are due or
	// have changed: it can stop waiting for one that was paused or deleted. It
	// returns at once. If a call is lost, the sweep finds the cursors.
	Schedule func(keys ...handoff.Key)

	// Quiesce ends all work of this process that may still send events for a
	// lower generation of the integration. It reports whether no such work is
	// left anywhere, as on a single node. Nil if that cannot be known.
	Quiesce func(ctx context.Context, tenant, id string, generation uint64) bool

	// Retire is Quiesce for a stop by the integration's own work, which has ended its
	// calls: it reports whether no other work is left, without waiting for any.
	Retire func(tenant, id string, generation uint64) bool

	// Probe tries out the target of an S3 integration, after a Commit that registered,
	// started or updated it. It returns at once. Nil if nobody does so.
	Probe func(in *integration.Integration)

	// QuietAfter is how long after the Commit of a stop events may still be sent by
	// work that read the state before it.
	QuietAfter time.Duration
}

const (
	maxEntries    = 50
	secretOverlap = 24 * time.Hour // how long a replaced signing secret still signs
)

// EntryRetention is how long log entries can be read, independent of the
// retention of events.
const EntryRetention = 30 * 24 * time.Hour

// List returns a tenant's integrations, sorted by id.
func (s *Service) List(ctx context.Context, tenant string) ([]*integration.Integration, error) {
	return s.Store.Integrations(ctx, tenant)
}

// Get returns one integration.
func (s *Service) Get(ctx context.Context, tenant, id string) (*integration.Integration, error) {
	if !integration.ValidID(id) { // it may be too long for a key of the store
		return nil, notFound(id)
	}
	in, err := s.Store.Integration(ctx, tenant, id)
	if problem.CodeOf(err) == problem.NotFound {
		return nil, notFound(id)
	}
	return in, err
}

func notFound(id string) error {
	const most = integration.MaxIDLength
	shown := id
	if len(id) > most {
		shown = id[:most] + "…"
	}
	if err := usertext.Check(id); err != nil {
		return problem.New(problem.NotFound, "There is no integration %q: the id %v.", shown, err)
	}
	return problem.New(problem.NotFound, "There is no integration %q.", shown)
}

// now returns the time as it is stored and shown: UTC, whole milliseconds.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Millisecond) }

// transact runs try, which ends in a Commit, again while it conflicts.
func transact(id string, try func() error) error {
	return store.Contended(store.Transact(try), id)
}

func (s *Service) commit(ctx context.Context, writes ...store.Write) error {
	return store.CommitDetached(ctx, s.Store, writes...)
}

// schedule tells the scheduler about the cursors that a Commit with this outcome
// wrote or deleted. After an error other than a conflict the Commit may have
// happened; looking at a cursor that is not due is harmless.
func (s *Service) schedule(err error, keys []handoff.Key) {
	if len(keys) > 0 && !errors.Is(err, store.ErrConflict) {
		s.Schedule(keys...)
	}
}

// probe probes an integration that a Commit has changed.
func (s *Service) probe(in *integration.Integration) {
	if s.Probe != nil && in.S3 != nil {
		s.Probe(in)
	}
}

// keysOf returns the keys of an integration's cursors.
func keysOf(in *integration.Integration) []handoff.Key {
	keys := make([]handoff.Key, in.Lanes)
	for i := range keys {
		keys[i] = handoff.Key{Tenant: in.Tenant, Integration: in.ID, Lane: i}
	}
	return keys
}

// read returns the two records that nearly every change needs.
func (s *Service) read(ctx context.Context, tenant, id string) (*store.Tenant, *integration.Integration, error) {
	t, err := s.Store.Tenant(ctx, tenant)
	if err != nil {
		return nil, nil, err
	}
	in, err := s.Get(ctx, tenant, id)
	if err != nil {
		return nil, nil, err
	}
	return t, in, nil
}

func entry(in *integration.Integration, action integration.Action, reason string, at time.Time) store.AddEntry {
	return store.AddEntry{
		History: store.HistoryOf(in),
		Entry:   integration.LogEntry{Action: action, Reason: reason, CreatedAt: at},
	}
}

// scheduled returns the keys of the scheduled cursors among the writes.
func scheduled(writes []store.Write) []handoff.Key {
	var keys []handoff.Key
	for _, w := range writes {
		if put, ok := w.(store.PutCursor); ok && put.Cursor.State == handoff.Scheduled {
			keys = append(keys, put.Cursor.Key)
		}
	}
	return keys
}
