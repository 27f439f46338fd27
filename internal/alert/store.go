package alert

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/health"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
)

// Store is a store whose Commit adds the alerts about what it changes. Every field but
// Lease is required. It is safe for concurrent use.
type Store struct {
	store.Store
	Log      health.Log
	Settings settings.Settings // OperatorTenant is set
	Now      func() time.Time
	Logger   *slog.Logger
	// Newest returns a cursor with its newest failed attempts, or problem.NotFound.
	Newest func(ctx context.Context, k handoff.Key) (*handoff.Cursor, error)
	// Lease is how long this process has the alerts that it commits for itself, before
	// another one publishes them. With 0 there is no other.
	Lease time.Duration
	// Added gets the alerts that were committed, for the Publisher. It returns at once.
	Added func(alerts []*store.Alert)
}

// maxConflicts is how often a Commit is repeated because an integration that only the
// alerts need was changed meanwhile.
const maxConflicts = 5

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, writes ...store.Write) error {
	concerned := s.concerned(writes)
	if len(concerned) == 0 || tooMany(writes, concerned) {
		return s.Store.Commit(ctx, writes...)
	}
	for attempt := 1; ; attempt++ {
		c := &commit{store: s, given: writes, now: s.Now().UTC().Truncate(time.Millisecond)}
		if err := c.build(ctx, concerned); err != nil {
			return err
		}
		err := s.Store.Commit(ctx, c.writes...)
		if err == nil {
			c.adopt()
			if len(c.alerts) > 0 {
				s.Added(c.alerts)
			}
			return nil
		}
		if !errors.Is(err, store.ErrConflict) || attempt == maxConflicts || !c.outdated(ctx) {
			return err
		}
	}
}

// tooMany reports whether there is no room for alerts in a commit of many cursors, as that
// of failed attempts. What there is to tell of a cursor waits for its next commit.
func tooMany(writes []store.Write, concerned []name) bool {
	for _, w := range writes {
		if _, ok := w.(store.PutCursor); !ok {
			return false
		}
	}
	return len(writes)+2*len(concerned) > store.MaxWrites
}

// name identifies an integration.
type name struct{ tenant, id string }

// concerned returns the integrations of which there may be something to tell, in the order
// of the writes.
func (s *Store) concerned(writes []store.Write) []name {
	var found []name
	for _, w := range writes {
		var n name
		switch w := w.(type) {
		case store.AddEntry:
			if w.Alert == "" && w.Entry.Action != integration.ActionStarted {
				continue
			}
			n = name{w.History.Tenant, w.History.Integration}
		case store.DeleteIntegration:
			if w.Integration.Alerts.Closing == 0 {
				continue
			}
			n = name{w.Integration.Tenant, w.Integration.ID}
		case store.PutCursor:
			if s.conditions(w.Cursor) == w.Cursor.Told {
				continue
			}
			n = name{w.Cursor.Key.Tenant, w.Cursor.Key.Integration}
		default:
			continue
		}
		if n.tenant != s.Settings.OperatorTenant && !slices.Contains(found, n) {
			found = append(found, n)
		}
	}
	return found
}

// conditions returns what an operator must have been told of a cursor. What was told last
// holds while it fails for less than AlertFailingAfter.
func (s *Store) conditions(c *handoff.Cursor) handoff.Told {
	switch {
	case c.State != handoff.Scheduled:
		return 0
	case c.FailsFor(s.Now(), s.Settings.AlertFailingAfter):
		return handoff.ToldFailing
	case c.Failures > 0:
		return c.Told
	case c.Lagging:
		return handoff.ToldLagging
	}
	return 0
}

// integrationOf returns an integration for a commit that does not have it; nil if it is
// gone, or is another one by the same id.
func (s *Store) integrationOf(ctx context.Context, n name, incarnation uint64) (*integration.Integration, error) {
	in, err := s.Integration(ctx, n.tenant, n.id)
	if problem.CodeOf(err) == problem.NotFound {
		return nil, nil
	}
	if err != nil || incarnation != 0 && in.Incarnation != incarnation {
		return nil, err
	}
	return in, nil
}
