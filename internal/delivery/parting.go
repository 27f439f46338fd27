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

// blockShare is the part of the follow budget for which a follower that has
// everything may be held up by one that has not, when no more fits in hand.
const blockShare = 50

// parting is why a follower leaves.
type parting struct {
	failure *failure // the receiver failed
	slow    bool     // it held up the others
}

// unopened is the failure of an integration whose sink cannot be opened, its
// secret being unreadable for example.
func unopened(err error, at time.Time) *failure {
	return &failure{at: at, verdict: Verdict{Outcome: Retry,
		Reason: "The integration cannot be used as it is stored. Reason: " + problem.MessageOf(err)}}
}

// leave takes a follower off the roster, onto its cursor, in one transaction.
func (f *follow) leave(entry handoff.Follower, in *integration.Integration, at handoff.Progress, why parting) error {
	key := handoff.Key{Tenant: f.partition.Tenant, Integration: entry.ID, Lane: f.partition.Lane}
	var left, stale, reread bool
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
		left, err = f.tryLeave(key, entry, in, at, why)
		stale = errors.Is(err, store.ErrConflict)
		return err
	})
	if err != nil {
		return err
	}
	if left {
		f.engine.Drive(key)
	}
	if !left || reread {
		return f.refresh() // others joined meanwhile, or it was stopped or deleted
	}
	return nil
}

// tryLeave reports whether the follower was there to leave.
func (f *follow) tryLeave(key handoff.Key, entry handoff.Follower, in *integration.Integration, at handoff.Progress, why parting) (bool, error) {
	e := f.engine
	c, err := e.Store.Cursor(f.hard, key)
	if problem.CodeOf(err) == problem.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	r := *f.record
	if c.Generation != entry.Generation || !handoff.Leave(&r, c, at, e.Now().Add(entry.WakeDelay)) {
		return false, nil
	}
	c.LeftAt = e.Now()
	writes := []store.Write{store.PutRecord{Record: &r}, store.PutCursor{Cursor: c}}
	if why.failure != nil {
		writes = append(writes, e.stand(in, c, why.failure))
	}
	if why.slow {
		f.penalise(c, entry)
	}
	if err := e.Store.Commit(f.hard, writes...); err != nil {
		return false, err
	}
	f.record = &r
	return true, nil
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
		if err := f.leave(entry, nil, at, parting{}); err != nil {
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

// partWithFailing sees off the followers whose receiver failed, when their
// calls under way have ended or have taken too long.
func (f *follow) partWithFailing() error {
	now := f.engine.Now()
	for id, r := range f.riders {
		st := r.state()
		if st.err != nil {
			return st.err
		}
		if st.failure == nil {
			continue
		}
		if !st.resting && !f.blocked(now) && now.Sub(st.failure.at) < f.engine.Settings.FollowBudget {
			continue
		}
		if err := f.part(id, parting{failure: st.failure}); err != nil {
			return err
		}
	}
	return nil
}

// partWithSlow sees off the followers that used up the budget, or hold up the
// others.
func (f *follow) partWithSlow() error {
	now := f.engine.Now()
	blocked := f.blocked(now)
	for id, r := range f.riders {
		st := r.state()
		if st.closed {
			return f.refresh() // it was ended by a stop
		}
		if st.idle || st.failure != nil {
			continue
		}
		late := now.Sub(st.movedAt) >= f.engine.Settings.FollowBudget
		if late || blocked && st.through <= f.record.Delivered {
			if err := f.part(id, parting{slow: true}); err != nil {
				return err
			}
		}
	}
	return nil
}

// part ends a rider and makes its follower leave with the exact progress.
func (f *follow) part(id string, why parting) error {
	r := f.riders[id]
	f.drop(id)
	return f.leave(r.entry, r.in, r.progress(), why)
}

// blocked reports whether, for longer than a moment, no more fits in hand while
// a follower has nothing left to do.
func (f *follow) blocked(now time.Time) bool {
	waiting := false
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
	return now.Sub(f.blockedAt) >= f.engine.Settings.FollowBudget/blockShare
}

// drain ends the loop in good order: calls under way end, followers with
// something half done leave with their exact progress, and what all the others
// have is committed.
func (f *follow) drain() error {
	for _, r := range f.riders {
		r.halt()
	}
	for _, r := range f.riders {
		r.quiet()
	}
	var cancel context.CancelFunc
	f.hard, cancel = lasting(f.hard)
	defer cancel()
	halfDone := func(st riderState) bool { return !st.idle }
	if err := f.partWith(halfDone); err != nil {
		return err
	}
	err := repeat(func() error {
		err := f.tryCommit()
		if errors.Is(err, store.ErrConflict) {
			err = errors.Join(err, f.refresh())
		}
		return err
	})
	if err != nil {
		return err
	}
	// Somebody who joined at the last moment may have held back the commit.
	return f.partWith(func(st riderState) bool { return st.through > f.record.Delivered })
}

// partWith makes the followers leave of whom it is true.
func (f *follow) partWith(leaves func(riderState) bool) error {
	for id, r := range f.riders {
		if st := r.state(); st.err == nil && leaves(st) {
			if err := f.part(id, parting{failure: st.failure}); err != nil {
				return err
			}
		}
	}
	return nil
}
