package delivery

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// Follow is the follow loop of a partition: it sends what lies between the
// partition's record and the tail to every follower and returns when the record
// has reached the tail. Each follower goes at its own pace within the segments
// in hand; one that fails, or holds up the others, leaves onto its cursor.
//
// When ctx ends, nothing new is sent, and followers that have something half done
// leave with their exact progress; the error is problem.Unavailable if somebody
// was left without what lies before the tail. While records cannot be written Follow waits
// for better times, so that nobody is sent again what is in hand. On another
// error nothing is lost: calling again goes on from the record. A second Follow
// for the same partition does no harm but repeats events.
func (e *Engine) Follow(ctx context.Context, p event.Partition, tail *Tail) error {
	hard, cancel := e.afterwards(ctx)
	defer cancel()
	f := &follow{
		engine: e, ctx: ctx, hard: hard, partition: p, tail: tail,
		signal: make(chan struct{}, 1), riders: make(map[string]*follower),
	}
	defer f.close()
	if err := f.refresh(); err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := f.step(); f.endures(err) {
			continue
		} else if err != nil && ctx.Err() == nil {
			return err
		}
		if f.record.Delivered >= tail.Head() {
			return nil
		}
		if f.sleeper() < 0 && !f.emptyHanded() {
			f.wait()
		}
	}
	return f.end()
}

// follow is one running follow loop.
type follow struct {
	engine    *Engine
	ctx       context.Context // nothing new is begun when it ends
	hard      context.Context // what is under way ends with it
	partition event.Partition
	tail      *Tail
	signal    chan struct{}

	record      *handoff.Record
	confirmedAt time.Time // when the record was last known to be the stored one
	segs        []eventlog.Segment
	riders      map[string]*follower
	blockedAt   time.Time // since when a follower waits for a slower one
	troubled    bool      // records cannot be written
	stale       bool      // the record is known not to be the stored one
}

// follower is a rider and what it takes to see it off.
type follower struct {
	*rider
	entry   handoff.Follower
	end     func()   // of its activity
	leaving *parting // it is halted, and to leave when records can be written
}

// step does what can be done now.
func (f *follow) step() error {
	if err := f.fill(); err != nil {
		return err
	}
	if err := f.wake(); err != nil {
		return err
	}
	if err := f.seeOff(); err != nil {
		return err
	}
	if err := f.commit(); err != nil {
		return err
	}
	if f.stale || f.engine.Now().Sub(f.confirmedAt) >= f.engine.Settings.FollowBudget/2 {
		return f.refresh()
	}
	return nil
}

// endures reports whether an error means that records cannot be written for now,
// and waits a moment. Riders keep what they have; they start no call beyond what
// is in hand.
func (f *follow) endures(err error) bool {
	if problem.CodeOf(err) != problem.Unavailable || f.ctx.Err() != nil {
		f.troubled = f.troubled && err != nil
		return false
	}
	if !f.troubled {
		f.engine.Logger.Warn("follow loop waits until records can be written", "tenant", f.partition.Tenant, "lane", f.partition.Lane, "error", err)
	}
	f.troubled, f.blockedAt = true, time.Time{} // nobody holds up the others now
	timer := time.NewTimer(troublePause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.ctx.Done():
	}
	return true
}

// troublePause is how often a write that failed is tried again.
const troublePause = time.Second

// refresh reads the record and makes the riders those on its roster. When the
// loop is ending nobody boards any more, and riders keep what they have.
func (f *follow) refresh() error {
	confirmedAt := f.engine.Now()
	r, err := f.engine.Store.Record(f.hard, f.partition)
	if err != nil {
		return err
	}
	f.record, f.stale = r, false
	ending := f.ctx.Err() != nil
	for id, rider := range f.riders {
		ended := rider.leaving == nil && !ending && rider.state().closed
		if entry := r.Find(id); entry == nil || entry.Generation != rider.entry.Generation || ended {
			f.drop(id)
		}
	}
	f.letGo()
	if ending {
		return nil
	}
	for _, entry := range slices.Clone(r.Followers) {
		if entry.Mode == handoff.Deliver && f.riders[entry.ID] == nil {
			if err := f.board(entry); err != nil {
				return err
			}
		}
	}
	f.confirmed(confirmedAt)
	return nil
}

// confirmed lets the riders start calls for another while: a stop waits for
// that long.
func (f *follow) confirmed(at time.Time) {
	f.confirmedAt = at
	for _, r := range f.riders {
		r.extend(at.Add(f.engine.Settings.FollowBudget))
	}
}

// board gives a follower its rider.
func (f *follow) board(entry handoff.Follower) error {
	e, tenant := f.engine, f.partition.Tenant
	t := e.cached(tenant, entry.ID, entry.Generation)
	if t == nil {
		in, err := e.Store.Integration(f.hard, tenant, entry.ID)
		if problem.CodeOf(err) == problem.NotFound || err == nil && in.Generation != entry.Generation {
			f.stale = true // stopped since the record was read
			return nil
		}
		if err != nil {
			return err
		}
		if t, err = e.target(f.hard, in); err != nil {
			// Its own trouble, which the others must not feel.
			why := parting{failure: unopened(err, e.Now())}
			if problem.CodeOf(err) == problem.Unavailable {
				why = parting{err: err}
			}
			_, err := f.leave(entry, in, handoff.Progress{Position: handoff.Position{Segment: f.record.Start(&entry)}}, why)
			return err
		}
	}
	start := handoff.Progress{Position: handoff.Position{Segment: f.record.Start(&entry)}}
	calls, cancel := e.afterwards(f.ctx) // not those of the loop: they may outlast it
	r := e.newRider(calls, t, f.partition.Lane, start, false, f.signal)
	end, ok := e.activities.begin(tenant, entry.ID, entry.Generation, r.halt, r.abandon)
	if !ok {
		cancel()
		f.stale = true // stopped since the record was read
		return nil
	}
	f.riders[entry.ID] = &follower{rider: r, entry: entry, end: func() { end(); cancel() }}
	r.give(f.segs)
	return nil
}

// drop ends a rider without a word.
func (f *follow) drop(id string) {
	r := f.riders[id]
	delete(f.riders, id)
	r.abandon()
	r.quiet()
	r.end()
}

func (f *follow) close() {
	for id := range f.riders {
		f.riders[id].abandon()
	}
	for id := range f.riders {
		f.drop(id)
	}
}

// loaded is the last segment in hand.
func (f *follow) loaded() uint64 {
	if len(f.segs) == 0 {
		return f.record.Delivered
	}
	return f.segs[len(f.segs)-1].Number
}

// full reports whether as much is in hand as may be.
func (f *follow) full() bool {
	n := 0
	for i := range f.segs {
		n += f.segs[i].Bytes()
	}
	return n >= 2*f.engine.batchBytes()
}

// emptyHanded reports whether somebody has boarded to whom nothing was given
// yet, although there is something: while nobody rides, nothing is read.
func (f *follow) emptyHanded() bool {
	return len(f.riders) > 0 && len(f.segs) == 0 && f.loaded() < f.tail.Head()
}

// fill takes more of the log in hand, if there is anyone to send it to.
func (f *follow) fill() error {
	for len(f.riders) > 0 && f.loaded() < f.tail.Head() && !f.full() {
		segs, err := f.engine.Log.Read(f.hard, f.partition, f.loaded(), f.engine.batchBytes())
		if err != nil {
			return f.unread(err)
		}
		if err := f.passTrimmed(segs); err != nil || len(segs) == 0 {
			return err
		}
		f.segs = append(f.segs, segs...)
		f.tail.Grow(f.loaded()) // what is in hand is seen through, even if it was not told of yet
		for _, r := range f.riders {
			r.give(segs)
		}
	}
	return nil
}

// unread sees everybody off if what comes next in the log cannot be read, and
// never will: each stands before it then, and those who join later do not.
func (f *follow) unread(err error) error {
	if problem.CodeOf(err) == problem.Unavailable || len(f.segs) > 0 { // what is in hand comes first
		return err
	}
	for id := range f.riders {
		if err := f.part(id, parting{err: err}); err != nil {
			return err
		}
	}
	return nil
}

// passTrimmed notices that what lies between the segments in hand and those
// given, or the tail, is past the retention, and tells the followers' logs.
func (f *follow) passTrimmed(segs []eventlog.Segment) error {
	upTo := f.tail.Head()
	if len(segs) > 0 {
		upTo = segs[0].Number - 1
	}
	if upTo <= f.loaded() || len(segs) == 0 && len(f.segs) > 0 {
		return nil // or what is in hand comes first
	}
	for _, r := range f.riders {
		if r.state().through >= upTo {
			continue // it was told, and the commit of it met a conflict
		}
		if err := f.engine.skipped(f.hard, r.in); err != nil {
			return err
		}
		r.skip(upTo)
	}
	return nil
}

// commit raises delivered to what every follower has.
func (f *follow) commit() error {
	err := f.tryCommit()
	if errors.Is(err, store.ErrConflict) {
		return f.refresh() // somebody joined or left: serve who is there now
	}
	return err
}

func (f *follow) tryCommit() error {
	n := f.tail.Head()
	for i := range f.record.Followers {
		n = min(n, f.through(&f.record.Followers[i]))
	}
	if n <= f.record.Delivered {
		return nil
	}
	now := f.engine.Now()
	r := *f.record
	r.Delivered = n
	if err := f.engine.Store.Commit(f.hard, store.PutRecord{Record: &r}); err != nil {
		return err
	}
	f.record, f.troubled = &r, false
	f.letGo()
	f.confirmed(now)
	return nil
}

// through is the last segment that a follower has. One without a rider (to be
// woken, or joined since the record was last read) has what it came with.
func (f *follow) through(entry *handoff.Follower) uint64 {
	if r := f.riders[entry.ID]; r != nil && r.entry.Generation == entry.Generation {
		return r.state().through
	}
	return f.record.Start(entry)
}

// letGo drops the segments that are delivered.
func (f *follow) letGo() {
	f.segs = slices.DeleteFunc(f.segs, func(s eventlog.Segment) bool { return s.Number <= f.record.Delivered })
}

// wait returns when there may be something to do.
func (f *follow) wait() {
	now, budget := f.engine.Now(), f.engine.Settings.FollowBudget
	next := f.confirmedAt.Add(budget / 2)
	for _, r := range f.riders {
		if at := r.state().patience(budget); !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	if grace := f.blockedAt.Add(f.patience()); !f.blockedAt.IsZero() && grace.Before(next) {
		next = grace
	}
	timer := time.NewTimer(max(next.Sub(now), time.Millisecond))
	defer timer.Stop()
	select {
	case <-f.signal:
	case <-f.tail.grown:
	case <-timer.C:
	case <-f.ctx.Done():
	}
}
