package delivery

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// DeliverLive is the live loop of a partition: it sends what lies between the
// low watermark and the end of the log to every live subscriber, and returns
// when the low watermark has reached the end. Each subscriber goes at its own
// pace within the buffered segments; one that fails, or holds up the others,
// leaves onto its cursor.
//
// When ctx ends, no call is started any more, and subscribers with something
// unfinished leave with their exact progress; the error is problem.Unavailable
// if the low watermark has not reached the end. While the store is unavailable
// DeliverLive waits for it, so that buffered events are not sent again. After
// another error nothing is lost: calling again goes on from the low watermark.
// A second DeliverLive for the same partition does no harm but repeats events.
func (e *Engine) DeliverLive(ctx context.Context, p event.Partition, end *LogEnd) error {
	l := &live{
		engine: e, partition: p, end: end, stop: ctx.Done(),
		calls:  func() (context.Context, context.CancelFunc) { return e.afterwards(ctx) },
		signal: make(chan struct{}, 1), subscribers: make(map[string]*subscriber),
	}
	defer l.close()
	graceful, cancel := l.calls()
	defer cancel()
	if err := l.refresh(graceful); err != nil {
		return err
	}
	for !l.stopping() {
		switch err := l.step(graceful); {
		case err == nil:
			l.unavailable = false
		case problem.CodeOf(err) == problem.Unavailable:
			l.waitForStore(err)
			continue
		case !l.stopping():
			return err
		}
		if l.state.LowWatermark >= end.Segment() {
			return nil
		}
		if l.sleeper() < 0 && !l.starved() {
			l.wait()
		}
	}
	return l.finish(graceful, context.Cause(ctx))
}

// live is one running live loop. Its methods get a context that outlasts the
// loop's by the engine's Grace.
type live struct {
	engine    *Engine
	partition event.Partition
	end       *LogEnd
	stop      <-chan struct{}                              // closed when no call may be started any more
	calls     func() (context.Context, context.CancelFunc) // a context for a worker's calls, which may outlast the loop
	signal    chan struct{}                                // a worker has changed

	state       *handoff.PartitionState
	confirmedAt time.Time // when state was last known to be the stored one
	stale       bool      // state is known not to be the stored one
	segs        []eventlog.Segment
	subscribers map[string]*subscriber
	blockedAt   time.Time // since when a subscriber waits for a slower one
	unavailable bool      // the store is
}

// subscriber is a live integration: a worker, and what is needed to remove it.
type subscriber struct {
	*worker.Worker
	in      *integration.Integration
	entry   handoff.Subscriber
	end     func()     // of its activity
	leaving *departure // it is halted, and leaves when the store is available
}

func (l *live) stopping() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// step does what can be done now.
func (l *live) step(ctx context.Context) error {
	if err := l.fill(ctx); err != nil {
		return err
	}
	if err := l.wake(ctx); err != nil {
		return err
	}
	if err := l.evict(ctx); err != nil {
		return err
	}
	if l.stale { // before the commit, which lets those go on who are subscribers
		if err := l.refresh(ctx); err != nil {
			return err
		}
	}
	if err := l.commit(ctx); err != nil {
		return err
	}
	if l.engine.Now().Sub(l.confirmedAt) >= l.engine.Settings.FollowBudget/2 {
		return l.refresh(ctx)
	}
	return nil
}

// storePause is how often a write that failed is tried again.
const storePause = time.Second

// waitForStore waits a moment for a store that is unavailable. Workers keep what
// they have; they start no call beyond what is buffered.
func (l *live) waitForStore(err error) {
	if !l.unavailable {
		l.engine.Logger.Warn("live delivery waits for the store", "tenant", l.partition.Tenant, "lane", l.partition.Lane, "error", err)
	}
	l.unavailable, l.blockedAt = true, time.Time{} // nobody holds up the others now
	timer := time.NewTimer(storePause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.stop:
	}
}

// refresh reads the partition's state and makes the subscribers those of its
// live set. While the loop is stopping nobody is added, and subscribers keep
// what they have.
func (l *live) refresh(ctx context.Context) error {
	confirmedAt := l.engine.Now()
	state, err := l.engine.Store.Partition(ctx, l.partition)
	if err != nil {
		return err
	}
	l.state, l.stale = state, false
	for id, sub := range l.subscribers {
		ended := sub.leaving == nil && !l.stopping() && sub.State().Closed
		if entry := state.Find(id); entry == nil || entry.Generation != sub.entry.Generation || ended {
			l.drop(id)
		}
	}
	l.release()
	if l.stopping() {
		return nil
	}
	for _, entry := range slices.Clone(state.Live) {
		if entry.Mode == handoff.Deliver && l.subscribers[entry.ID] == nil {
			if err := l.subscribe(ctx, entry); err != nil {
				return err
			}
		}
	}
	l.confirmed(confirmedAt)
	return nil
}

// confirmed lets the workers start calls for another while: a stop waits for
// that long.
func (l *live) confirmed(at time.Time) {
	l.confirmedAt = at
	for _, sub := range l.subscribers {
		sub.Extend(at.Add(l.engine.Settings.FollowBudget))
	}
}

// subscribe gives a live integration its worker.
func (l *live) subscribe(ctx context.Context, entry handoff.Subscriber) error {
	e, tenant := l.engine, l.partition.Tenant
	start := handoff.AckState{Offset: handoff.Offset{Segment: l.state.AckedBy(&entry)}}
	target := e.Registry.Cached(tenant, entry.ID, entry.Generation)
	if target == nil {
		in, err := e.Store.Integration(ctx, tenant, entry.ID)
		if problem.CodeOf(err) == problem.NotFound || err == nil && in.Generation != entry.Generation {
			l.stale = true // stopped since the state was read
			return nil
		}
		if err != nil {
			return err
		}
		if target, err = e.Registry.Target(ctx, in); err != nil {
			return l.leaveUnopened(ctx, entry, in, start, err)
		}
	}
	calls, cancel := l.calls()
	w := e.newWorker(calls, target, l.partition.Lane, start, false, l.signal)
	end, ok := e.Registry.Begin(tenant, entry.ID, entry.Generation, w.Halt, w.Abandon)
	if !ok {
		cancel()
		l.stale = true // stopped since the state was read
		return nil
	}
	l.subscribers[entry.ID] = &subscriber{Worker: w, in: target.Integration, entry: entry, end: func() { end(); cancel() }}
	w.Give(l.segs)
	return nil
}

// drop removes a subscriber at once, with its calls.
func (l *live) drop(id string) {
	sub := l.subscribers[id]
	delete(l.subscribers, id)
	sub.close()
}

func (s *subscriber) close() {
	s.Abandon()
	s.Drain()
	s.end()
}

func (l *live) close() {
	for _, sub := range l.subscribers {
		sub.Abandon()
	}
	for id := range l.subscribers {
		l.drop(id)
	}
}

// buffered is the last buffered segment.
func (l *live) buffered() uint64 {
	if len(l.segs) == 0 {
		return l.state.LowWatermark
	}
	return l.segs[len(l.segs)-1].Number
}

// full reports whether as much is buffered as may be.
func (l *live) full() bool {
	n := 0
	for i := range l.segs {
		n += l.segs[i].Bytes()
	}
	return n >= 2*l.engine.batchBytes()
}

// starved reports whether there is something for a new subscriber that was not
// read yet: without subscribers nothing is read.
func (l *live) starved() bool {
	return len(l.subscribers) > 0 && len(l.segs) == 0 && l.buffered() < l.end.Segment()
}

// fill buffers more of the log, if there is anyone to send it to.
func (l *live) fill(ctx context.Context) error {
	for len(l.subscribers) > 0 && l.buffered() < l.end.Segment() && !l.full() {
		segs, err := l.engine.Log.Read(ctx, l.partition, l.buffered(), l.engine.batchBytes())
		if err != nil {
			return l.unreadable(ctx, err)
		}
		if err := l.passTrimmed(ctx, segs); err != nil || len(segs) == 0 {
			return err
		}
		l.segs = append(l.segs, segs...)
		l.end.Grow(l.buffered()) // what is buffered is delivered, even if it was not announced yet
		for _, sub := range l.subscribers {
			sub.Give(segs)
		}
	}
	return nil
}

// unreadable makes everyone leave if what comes next in the log can never be
// read: their cursors stand before it then, and those who join later do not.
func (l *live) unreadable(ctx context.Context, err error) error {
	if problem.CodeOf(err) == problem.Unavailable || len(l.segs) > 0 { // what is buffered comes first
		return err
	}
	for id := range l.subscribers {
		if err := l.part(ctx, id, departure{err: err}); err != nil {
			return err
		}
	}
	return nil
}

// passTrimmed notices that what lies between the buffered segments and those
// given, or the end, is past the retention, and says so in the integrations'
// logs.
func (l *live) passTrimmed(ctx context.Context, segs []eventlog.Segment) error {
	upTo := l.end.Segment()
	if len(segs) > 0 {
		upTo = segs[0].Number - 1
	}
	if upTo <= l.buffered() || len(segs) == 0 && len(l.segs) > 0 {
		return nil // or what is buffered comes first
	}
	for _, sub := range l.subscribers {
		if sub.State().Acked >= upTo {
			continue // its log says so already, and the commit met a conflict
		}
		if err := l.engine.skipped(ctx, sub.in); err != nil {
			return err
		}
		sub.Skip(upTo)
	}
	return nil
}

// commit raises the low watermark to what every live integration has.
func (l *live) commit(ctx context.Context) error {
	err := l.tryCommit(ctx)
	if errors.Is(err, store.ErrConflict) {
		return l.refresh(ctx) // somebody joined or left: serve who is live now
	}
	return err
}

func (l *live) tryCommit(ctx context.Context) error {
	n := l.end.Segment()
	for i := range l.state.Live {
		n = min(n, l.acked(&l.state.Live[i]))
	}
	if n <= l.state.LowWatermark {
		return nil
	}
	now := l.engine.Now()
	next := *l.state
	next.LowWatermark = n
	if err := l.engine.Store.Commit(ctx, store.PutPartition{State: &next}); err != nil {
		return err
	}
	l.state, l.unavailable = &next, false
	l.release()
	l.confirmed(now)
	return nil
}

// acked is the last segment that a live integration has. One without a worker
// (to be woken, or joined since the state was read) has what it joined with.
func (l *live) acked(entry *handoff.Subscriber) uint64 {
	if sub := l.subscribers[entry.ID]; sub != nil && sub.entry.Generation == entry.Generation {
		return sub.State().Acked
	}
	return l.state.AckedBy(entry)
}

// release drops the buffered segments up to the low watermark.
func (l *live) release() {
	l.segs = slices.DeleteFunc(l.segs, func(s eventlog.Segment) bool { return s.Number <= l.state.LowWatermark })
}

// wait returns when there may be something to do.
func (l *live) wait() {
	now, budget := l.engine.Now(), l.engine.Settings.FollowBudget
	next := l.confirmedAt.Add(budget / 2)
	for _, sub := range l.subscribers {
		if at := leaveAt(sub.State(), budget); !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	if at := l.blockedAt.Add(l.blockLimit()); !l.blockedAt.IsZero() && at.Before(next) {
		next = at
	}
	timer := time.NewTimer(max(next.Sub(now), time.Millisecond))
	defer timer.Stop()
	select {
	case <-l.signal:
	case <-l.end.grown:
	case <-timer.C:
	case <-l.stop:
	}
}
