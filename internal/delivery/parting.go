package delivery

import (
	"context"
	"errors"
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// The part of the follow budget for which a follower may hold up others: those on
// the roster that have everything, when no more fits in hand; and whoever waits
// for what comes after a fixed tail, of other tenants too. In the second case to
// leave costs more, as the driver of the cursor has to be started first.
const (
	blockShare      = 250
	fixedBlockShare = 5
)

// parting is why and how a follower leaves.
type parting struct {
	failure *failure // the receiver failed
	err     error    // we failed ourselves
	slow    bool     // it held up the others
	lease   bool     // its calls under way come first
}

// unopened is the failure of an integration whose sink cannot be opened, its
// secret being unreadable for example.
func unopened(err error, at time.Time) *failure {
	return &failure{at: at, verdict: Verdict{
		Outcome: Retry,
		Reason:  "The integration cannot be used as it is stored. Reason: " + problem.MessageOf(err),
	}}
}

// leave takes a follower off the roster, onto its cursor, in one transaction.
// It returns the cursor, or nil if the follower was not there any more.
func (f *follow) leave(entry handoff.Follower, in *integration.Integration, at handoff.Progress, why parting) (*handoff.Cursor, error) {
	key := handoff.Key{Tenant: f.partition.Tenant, Integration: entry.ID, Lane: f.partition.Lane}
	var c *handoff.Cursor
	var stale, reread bool
	err := repeat(func() error {
		if stale {
			reread = true
			r, err := f.engine.Store.Record(f.hard, f.partition)
			if err != nil {
				return err
			}
			f.record = r
		}
		var err error
		c, err = f.tryLeave(key, entry, in, at, why)
		stale = errors.Is(err, store.ErrConflict)
		return err
	})
	if !why.lease {
		f.engine.Drive(key) // after an error too: it may have left
	}
	if err == nil && (c == nil || reread) {
		err = f.refresh() // others joined meanwhile, or it was stopped or deleted
	}
	return c, err
}

// tryLeave returns nil if the follower is not there to leave.
func (f *follow) tryLeave(key handoff.Key, entry handoff.Follower, in *integration.Integration, at handoff.Progress, why parting) (*handoff.Cursor, error) {
	e := f.engine
	c, err := e.Store.Cursor(f.hard, key)
	if problem.CodeOf(err) == problem.NotFound {
		return nil, nil //nolint:nilnil // said above
	}
	if err != nil {
		return nil, err
	}
	r := *f.record
	writes, ok := f.leaving(&r, c, entry, in, at, why)
	if !ok {
		return nil, nil //nolint:nilnil // said above
	}
	if err := e.Store.Commit(f.hard, append(writes, store.PutRecord{Record: &r})...); err != nil {
		return nil, err
	}
	f.record = &r
	return c, nil
}

// leaving changes the record and the cursor for a follower that leaves, and
// returns the writes beside the record's. It reports false if the follower is
// not there to leave.
func (f *follow) leaving(r *handoff.Record, c *handoff.Cursor, entry handoff.Follower, in *integration.Integration, at handoff.Progress, why parting) ([]store.Write, bool) {
	now := f.engine.Now()
	if c.Generation != entry.Generation || !handoff.Leave(r, c, at, now.Add(entry.WakeDelay)) {
		return nil, false
	}
	c.LeftAt = now
	if why.lease {
		c.DueAt = now.Add(f.engine.QuietAfter())
	}
	if why.slow {
		f.penalise(c, entry)
	}
	return f.engine.ending(in, c, why), true
}

// ending returns the writes of a cursor whose integration has left, with what
// became of its last calls.
func (e *Engine) ending(in *integration.Integration, c *handoff.Cursor, why parting) []store.Write {
	writes := []store.Write{store.PutCursor{Cursor: c}}
	switch {
	case why.failure != nil:
		writes = append(writes, e.stand(in, c, why.failure))
	case why.err != nil:
		c.DueAt = e.Now().Add(e.Settings.RetryMin)
	}
	return writes
}

// penalise keeps a follower that held up the others from joining them again for
// a while, longer each time.
func (f *follow) penalise(c *handoff.Cursor, entry handoff.Follower) {
	e := f.engine
	now := e.Now()
	if now.Sub(entry.JoinedAt) > e.Settings.RetryMax {
		c.Slowness = 0 // it kept up for long enough
	}
	c.Slowness++
	c.SlowUntil = now.Add(doubled(e.Settings.RetryMin, c.Slowness, e.Settings.RetryMax))
}

// wake sends off those who only want to be told that there are events.
func (f *follow) wake() error {
	for {
		i := f.sleeper()
		if i < 0 {
			return nil
		}
		entry := f.record.Followers[i]
		at := handoff.Progress{Position: handoff.Position{Segment: f.record.Start(&entry)}}
		if _, err := f.leave(entry, nil, at, parting{}); err != nil {
			return err
		}
	}
}

// sleeper is the index of a follower that has to be woken, or -1.
func (f *follow) sleeper() int {
	for i := range f.record.Followers {
		if entry := &f.record.Followers[i]; entry.Mode == handoff.Wake && f.record.Start(entry) < f.tail.Head() {
			return i
		}
	}
	return -1
}

// seeOff makes those leave who failed, used up the budget, or hold up the
// others.
func (f *follow) seeOff() error {
	now := f.engine.Now()
	blocked := f.blocked(now)
	for id, r := range f.riders {
		st := r.state()
		why := r.leaving
		switch {
		case why != nil: // it could not before
		case st.closed:
			f.stale = true // a stop has ended it
			continue
		default:
			why = f.reason(st, now, blocked)
		}
		if why == nil {
			continue
		}
		if err := f.part(id, *why); err != nil {
			return err
		}
	}
	return nil
}

// reason is why a follower has to leave, or nil. One whose receiver failed may
// see its other calls through where nobody waits for it.
func (f *follow) reason(st riderState, now time.Time, blocked bool) *parting {
	at := st.patience(f.engine.Settings.FollowBudget)
	late := !at.IsZero() && !now.Before(at)
	switch {
	case st.err != nil:
		return &parting{err: st.err}
	case st.failure != nil && (st.resting || blocked || late):
		return &parting{}
	case st.failure == nil && !st.idle && now.Before(st.until) && (late || blocked && st.through <= f.record.Delivered):
		return &parting{slow: true}
	}
	return nil
}

// patience is when a rider has to leave as it stands, zero for never.
func (st riderState) patience(budget time.Duration) time.Time {
	switch {
	case st.failure != nil:
		return st.failure.at.Add(budget)
	case !st.idle:
		return st.movedAt.Add(budget)
	}
	return time.Time{}
}

// part makes a follower leave with its exact progress. Nobody waits for its
// calls under way: it leaves with a lease on its cursor, and when they have
// ended what became of them is written.
func (f *follow) part(id string, why parting) error {
	r := f.riders[id]
	r.halt()
	st := r.state()
	if why.failure = st.failure; !st.resting {
		why.failure, why.lease = nil, true
	}
	r.leaving = &parting{err: why.err, slow: why.slow}
	delete(f.riders, id)
	c, err := f.leave(r.entry, r.in, r.progress(), why)
	if c == nil && err != nil {
		f.riders[id] = r // it leaves when records can be written
		return err
	}
	if why.err != nil {
		f.engine.Logger.Error("an integration left the follow loop", "tenant", r.in.Tenant, "integration", r.in.ID, "error", why.err)
	}
	if c == nil || !why.lease {
		r.abandon()
		r.quiet()
		r.end()
		return err
	}
	f.engine.departing.Go(func() { f.engine.bidFarewell(r, c, why) })
	return err
}

// bidFarewell waits for the calls under way of a follower that has left, and
// writes its exact progress. If it cannot, the lease ends by itself and they are
// sent again.
func (e *Engine) bidFarewell(r *follower, c *handoff.Cursor, why parting) {
	defer r.end()
	r.quiet()
	st := r.state()
	why.failure = st.failure
	c.Progress, c.DueAt = r.progress(), e.Now()
	writes := e.ending(r.in, c, why)
	err := e.lastWrite(context.Background(), func(ctx context.Context) error {
		return e.Store.Commit(ctx, writes...)
	})
	if err != nil && !errors.Is(err, store.ErrConflict) { // a conflict is a stop
		e.Logger.Error("the progress of an integration that left could not be written; what was under way is sent again",
			"tenant", r.in.Tenant, "integration", r.in.ID, "error", err)
	}
	e.Drive(c.Key)
}

// Wait returns when nothing is under way that was begun by a Follow which has
// returned. It takes SLUICE_WEBHOOK_TIMEOUT at most, or the Grace once ctx of
// that Follow has ended.
func (e *Engine) Wait() { e.departing.Wait() }

// patience is how long the others are held up before one that is slower leaves.
func (f *follow) patience() time.Duration {
	if f.tail.fixed {
		return f.engine.Settings.FollowBudget / fixedBlockShare
	}
	return f.engine.Settings.FollowBudget / blockShare
}

// blocked reports whether others have waited for longer than that: a follower
// that has nothing left to do while no more fits in hand, or what comes after a
// fixed tail.
func (f *follow) blocked(now time.Time) bool {
	waiting := f.tail.fixed
	if f.loaded() < f.tail.Head() && f.full() {
		for _, r := range f.riders {
			waiting = waiting || r.state().idle
		}
	}
	if !waiting {
		f.blockedAt = time.Time{}
		return false
	}
	if f.blockedAt.IsZero() {
		f.blockedAt = now
	}
	return now.Sub(f.blockedAt) >= f.patience()
}
