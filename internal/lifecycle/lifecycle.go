// Package lifecycle has the transactions of an integration's life:
// registration, update, start, stop and deletion, and what is kept of it. Each
// is one Commit of the store, computed from records read just before; where one
// of them changed meanwhile, all is read and decided again.
//
// A call whose Commit fails otherwise may have taken effect all the same, as
// its answer may be all that was lost. To repeat a start, stop, update or
// deletion is harmless; to repeat a registration is an error, AlreadyExists.
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

// Service makes the changes. Every field but Quiesce is required. Its methods
// are safe for concurrent use, by several processes too. Their errors are of
// package problem: NotFound where there is no such integration, Conflict where
// others kept changing the same records, those of the ports as they are.
// Integrations that are returned belong to the caller, with secrets sealed.
type Service struct {
	Store    store.Store
	Log      eventlog.Log
	Sealer   secret.Sealer
	Settings settings.Settings
	Now      func() time.Time

	// CheckTarget looks up where a URL leads and refuses an address that must
	// not be called, with problem.InvalidTarget. Its message is the end of a
	// sentence about the field, without the full stop.
	CheckTarget func(ctx context.Context, url string) error

	// Schedule tells the scheduler, after a Commit, that these cursors are due or
	// have changed: one that was paused or deleted need not be waited for. It
	// returns at once. A lost call is healed by the sweep.
	Schedule func(keys ...handoff.Key)

	// Quiesce ends every actor of this process that may still emit for a
	// generation of the integration below the given one. It reports whether
	// there can be no such actor anywhere any more, as on a single node. Nil
	// where that cannot be told.
	Quiesce func(ctx context.Context, tenant, id string, generation uint64) bool

	// QuietAfter is how long after a stop an actor that read the state before
	// it may still emit.
	QuietAfter time.Duration
}

const (
	maxEntries    = 50
	secretOverlap = 24 * time.Hour // for which a replaced signing secret signs too
)

// EntryRetention is how long log entries can be read, whatever the retention of
// events is.
const EntryRetention = 30 * 24 * time.Hour

// List returns a tenant's integrations, by id.
func (s *Service) List(ctx context.Context, tenant string) ([]*integration.Integration, error) {
	return s.Store.Integrations(ctx, tenant)
}

// Get returns one integration.
func (s *Service) Get(ctx context.Context, tenant, id string) (*integration.Integration, error) {
	if !integration.ValidID(id) { // it could be too long for the store's keys
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

// now is the time as it is stored and shown.
func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Millisecond) }

// transact runs try, which ends in a Commit, until no record it read was
// changed by others in between.
func transact(id string, try func() error) error {
	return store.Contended(store.Transact(try), id)
}

func (s *Service) commit(ctx context.Context, writes ...store.Write) error {
	return store.CommitDetached(ctx, s.Store, writes...)
}

// schedule tells the scheduler of cursors that a Commit with this outcome wrote or
// deleted. After an error it may have happened all the same, unless it met a
// conflict; to look at a cursor in vain is harmless.
func (s *Service) schedule(err error, keys []handoff.Key) {
	if len(keys) > 0 && !errors.Is(err, store.ErrConflict) {
		s.Schedule(keys...)
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

// read returns the two records that nearly every change is about.
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

// driven returns the keys of the cursors among the writes that are due.
func scheduled(writes []store.Write) []handoff.Key {
	var keys []handoff.Key
	for _, w := range writes {
		if put, ok := w.(store.PutCursor); ok && put.Cursor.State == handoff.Scheduled {
			keys = append(keys, put.Cursor.Key)
		}
	}
	return keys
}
