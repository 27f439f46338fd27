package delivery

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/sluicehq/sluice/internal/backoff"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// savesAtATime is how many commits of MaxWrites a save makes at a time. The database of
// a node groups them into one transaction, so that more rows share a page; with more,
// other writers would have to wait for it.
const savesAtATime = 8

// SaveEntries saves the log entries that a SoleOwner remembers. What it cannot save it
// keeps for the next call. Entries are late by as long as it is not called.
func (e *Engine) SaveEntries(ctx context.Context) error {
	if e.SoleOwner == nil {
		return nil
	}
	var saves errgroup.Group
	saves.SetLimit(savesAtATime)
	for batch := range slices.Chunk(e.SoleOwner.takeEntries(), store.MaxWrites) {
		saves.Go(func() error {
			err := e.Store.Commit(ctx, writesOf(batch)...)
			if err != nil {
				e.SoleOwner.returnEntries(batch)
			}
			return err
		})
	}
	return saves.Wait()
}

// Cursor returns a cursor with the failed attempts that are not saved, or
// problem.NotFound.
func (e *Engine) Cursor(ctx context.Context, k handoff.Key) (*handoff.Cursor, error) {
	c, err := e.Store.Cursor(ctx, k)
	if err != nil {
		return nil, err
	}
	return e.SoleOwner.Newest(c), nil
}

// UnsavedEntries returns how many log entries a SoleOwner remembers.
func (e *Engine) UnsavedEntries() int {
	if e.SoleOwner == nil {
		return 0
	}
	e.SoleOwner.mu.Lock()
	defer e.SoleOwner.mu.Unlock()
	return len(e.SoleOwner.entries)
}

// writesOf returns log entries as the writes of a Commit.
func writesOf(entries []store.AddEntry) []store.Write {
	writes := make([]store.Write, len(entries))
	for i := range entries {
		writes[i] = entries[i]
	}
	return writes
}

// SaveAttempts saves the failed attempts that a SoleOwner remembers. A process that is
// killed forgets those since the last call: the next one calls their receivers again,
// with the numbers of earlier attempts.
func (e *Engine) SaveAttempts(ctx context.Context) error {
	if e.SoleOwner == nil {
		return nil
	}
	var saves errgroup.Group
	saves.SetLimit(savesAtATime)
	for batch := range slices.Chunk(e.SoleOwner.keysOf(unsaved), store.MaxWrites) {
		saves.Go(func() error { return e.saveBatch(ctx, batch, unsaved) })
	}
	return saves.Wait()
}

// alertsAtATime is how many cursors are saved in a commit that tells an operator of each:
// its integration and the alert are in it too.
const alertsAtATime = store.MaxWrites / 3

// SaveAlerts saves the cursors that have failed for so long that an operator is told, and
// was not yet: the Commit of a store that tells one adds that. Their attempts need not be
// due for that. It does nothing unless SLUICE_OPERATOR_TENANT is set.
func (e *Engine) SaveAlerts(ctx context.Context) error {
	if e.SoleOwner == nil || e.Settings.OperatorTenant == "" {
		return nil
	}
	now := e.Now()
	untold := func(a *attempts) bool {
		c := &a.cursor
		return c.Told&handoff.ToldFailing == 0 && c.FailsFor(now, e.Settings.AlertFailingAfter) && c.Key.Tenant != e.Settings.OperatorTenant
	}
	for batch := range slices.Chunk(e.SoleOwner.keysOf(untold), alertsAtATime) { // one by one: each reads the health of all
		began := e.Now()
		if err := e.saveBatch(ctx, batch, untold); err != nil {
			return err
		}
		if backoff.Wait(ctx, e.Now().Sub(began)) != nil { // the rest is for publishing and delivery
			return nil
		}
	}
	return nil
}

// saveBatch saves those of the cursors that pass, in one commit if nobody has changed any
// of them.
func (e *Engine) saveBatch(ctx context.Context, keys []handoff.Key, pass func(*attempts) bool) error {
	cursors := e.SoleOwner.holdThose(keys, pass)
	saved := 0
	defer func() { e.SoleOwner.letGoSaved(cursors, saved) }()
	if len(cursors) == 0 {
		return nil
	}
	writes := make([]store.Write, len(cursors))
	for i := range cursors {
		writes[i] = store.PutCursor{Cursor: &cursors[i], KeepDue: true}
	}
	err := e.Store.Commit(ctx, writes...)
	if err == nil {
		saved = len(cursors)
	}
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	for ; saved < len(cursors); saved++ { // one that was changed keeps its stored version
		err := e.Store.Commit(ctx, writes[saved])
		if err != nil && !(errors.Is(err, store.ErrConflict) && e.changed(ctx, &cursors[saved])) {
			return err
		}
	}
	return nil
}

// changed reports whether a cursor is another one in the store, after a conflict: that may
// have been with another record of the Commit.
func (e *Engine) changed(ctx context.Context, c *handoff.Cursor) bool {
	stored, err := e.Store.Cursor(ctx, c.Key)
	return problem.CodeOf(err) == problem.NotFound || err == nil && stored.Version != c.Version
}
