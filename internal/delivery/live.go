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

// DeliverLive is the live loop of a partition: it sends the events between the low
// watermark and the end of the log to every live subscriber, and returns when the
// low watermark has reached the end. Each subscriber goes at its own pace within the
// buffered segments; one that fails, or blocks the others, moves to its cursor.
//
// Once ctx has ended, it starts no more calls, and subscribers with unacknowledged
// events leave with their exact ack state; the error is problem.Unavailable if the
// low watermark has not reached the end. While the store is unavailable, DeliverLive
// waits for it, so that buffered events are not sent again. After any other error
// nothing is lost: the next call goes on from the low watermark. A second
// DeliverLive for the same partition does no harm but repeats events.
func (e *Engine) DeliverLive(ctx context.Context, p event.Partition, end *LogEnd) error {
	l := &live{
		engine: e, partition: p, end: end, stop: ctx.Done(),
		calls:  func() (context.Context, context.CancelFunc) { return e.withGrace(ctx) },
		signal: make(chan struct{}, 1), subscribers: make(map[string]*subscriber),
	}
	defer l.close()
	graceful, cancel := l.calls()
	defer cancel()
	if err := l.refresh(graceful); err != nil {
		return err
	}
	for !l.stopping() {
		switch err := l.work(graceful); {
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
		if l.toWake() < 0 && !l.starved() {
			l.wait()
		}
	}
	return l.finish(graceful, context.Cause(ctx))
}

// live is one running live loop. Its methods get a context that outlives the loop's
// by Engine.Grace.
type live struct {
	engine    *Engine
	partition event.Partition
	end       *LogEnd
	stop      <-chan struct{}                              // closed when the loop must start no more calls
	calls     func() (context.Context, context.CancelFunc) // a context for a worker's calls, which may outlive the loop
	signal    chan struct{}                                // signalled when a worker has changed

	state       *handoff.PartitionState
	confirmedAt time.Time // when state was last known to be the stored one
	stale       bool      // the stored state has changed
	segs        []eventlog.Segment
	subscribers map[string]*subscriber
	blockedAt   time.Time // since when slower subscribers have blocked others
	unavailable bool      // the store is
}

// subscriber is a live integration: a worker, and what is needed to remove it.
type subscriber struct {
	*worker.Worker
	in      *integration.Integration
	member  handoff.Subscriber
	end     func()       // ends its activity in the Registry
	leaving *leaveReason // it is halted, and leaves once the store is available
}

func (l *live) stopping() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// work does everything that can be done now.
func (l *live) work(ctx context.Context) error {
	if err := l.fill(ctx); err != nil {
		return err
	}
	if err := l.wake(ctx); err != nil {
		return err
	}
	if err := l.evict(ctx); err != nil {
		return err
	}
	if l.stale { // before the commit, which extends the workers of all subscribers
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

// storeRetryInterval is the time between two attempts while the store is unavailable.
const storeRetryInterval = time.Second

// waitForStore waits before the next attempt while the store is unavailable. Workers
// go on with what is buffered.
func (l *live) waitForStore(err error) {
	if !l.unavailable {
		l.engine.Logger.Warn("store unavailable; live delivery will retry", "tenant", l.partition.Tenant, "lane", l.partition.Lane, "error", err)
	}
	l.unavailable, l.blockedAt = true, time.Time{} // no subscriber is to blame for this wait
	timer := time.NewTimer(storeRetryInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.stop:
	}
}

// refresh reads the partition's state and adds and removes subscribers to match its
// live set. While the loop is stopping it adds none.
func (l *live) refresh(ctx context.Context) error {
	confirmedAt := l.engine.Now()
	state, err := l.engine.Store.Partition(ctx, l.partition)
	if err != nil {
		return err
	}
	l.state, l.stale = state, false
	for id, sub := range l.subscribers {
		ended := sub.leaving == nil && !l.stopping() && sub.State().Closed
		if member := state.Find(id); member == nil || member.Generation != sub.member.Generation || ended {
			l.drop(id)
		}
	}
	l.discard()
	if l.stopping() {
		return nil
	}
	for _, member := range slices.Clone(state.Live) {
		if member.Mode == handoff.Deliver && l.subscribers[member.ID] == nil {
			if err := l.subscribe(ctx, member); err != nil {
				return err
			}
		}
	}
	l.confirmed(confirmedAt)
	return nil
}

// confirmed lets the workers start calls for FollowBudget from the time at which the
// state was known to be the stored one. A stop waits for that long.
func (l *live) confirmed(at time.Time) {
	l.confirmedAt = at
	for _, sub := range l.subscribers {
		sub.Extend(at.Add(l.engine.Settings.FollowBudget))
	}
}

// subscribe starts a worker for a live integration.
func (l *live) subscribe(ctx context.Context, member handoff.Subscriber) error {
	e, tenant := l.engine, l.partition.Tenant
	start := handoff.AckState{Offset: handoff.Offset{Segment: l.state.AckedBy(&member)}}
	target := e.Registry.Cached(tenant, member.ID, member.Generation)
	if target == nil {
		in, err := e.Store.Integration(ctx, tenant, member.ID)
		if problem.CodeOf(err) == problem.NotFound || err == nil && in.Generation != member.Generation {
			l.stale = true // stopped since the state was read
			return nil
		}
		if err != nil {
			return err
		}
		if target, err = e.Registry.Target(ctx, in); err != nil {
			return l.leaveUnopened(ctx, member, in, start, err)
		}
	}
	calls, cancel := l.calls()
	w := e.newWorker(calls, target, l.partition.Lane, start, false, l.signal, l.stop)
	end, ok := e.Registry.Begin(tenant, member.ID, member.Generation, w.Halt, w.Abandon)
	if !ok {
		cancel()
		l.stale = true // stopped since the state was read
		return nil
	}
	l.subscribers[member.ID] = &subscriber{Worker: w, in: target.Integration, member: member, end: func() { end(); cancel() }}
	w.Give(l.segs)
	return nil
}

// drop removes a subscriber at once and cancels its calls.
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

// buffered returns the number of the last buffered segment, or the low watermark.
func (l *live) buffered() uint64 {
	if len(l.segs) == 0 {
		return l.state.LowWatermark
	}
	return l.segs[len(l.segs)-1].Number
}

// full reports whether the buffer is full: two reads of the log.
func (l *live) full() bool {
	n := 0
	for i := range l.segs {
		n += l.segs[i].Bytes()
	}
	return n >= 2*l.engine.batchBytes()
}

// starved reports whether a new subscriber needs segments that were not read yet:
// without subscribers nothing is read.
func (l *live) starved() bool {
	return len(l.subscribers) > 0 && len(l.segs) == 0 && l.buffered() < l.end.Segment()
}

// fill reads more of the log into the buffer, if there are subscribers.
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
		l.end.Grow(l.buffered()) // the log may have grown past the end that was announced
		for _, sub := range l.subscribers {
			sub.Give(segs)
		}
	}
	return nil
}

// unreadable evicts every subscriber if the next segment can never be read: their
// cursors stay before it, and subscribers that join later start after it.
func (l *live) unreadable(ctx context.Context, err error) error {
	if problem.CodeOf(err) == problem.Unavailable || len(l.segs) > 0 { // what is buffered comes first
		return err
	}
	for id := range l.subscribers {
		if err := l.evictOne(ctx, id, leaveReason{err: err}); err != nil {
			return err
		}
	}
	return nil
}

// passTrimmed skips segments that were trimmed: those between the buffered segments
// and the given ones, or up to the end if none are given. It says so in the
// integrations' logs.
func (l *live) passTrimmed(ctx context.Context, segs []eventlog.Segment) error {
	upTo := l.end.Segment()
	if len(segs) > 0 {
		upTo = segs[0].Number - 1
	}
	if upTo <= l.buffered() || len(segs) == 0 && len(l.segs) > 0 {
		return nil // no gap, or what is buffered comes first
	}
	for _, sub := range l.subscribers {
		if sub.State().Acked >= upTo {
			continue // said before a commit that met a conflict
		}
		if err := l.engine.logSkipped(ctx, sub.in); err != nil {
			return err
		}
		sub.Skip(upTo)
	}
	return nil
}

// commit raises the low watermark to the last segment that every live integration
// has acknowledged.
func (l *live) commit(ctx context.Context) error {
	err := l.tryCommit(ctx)
	if errors.Is(err, store.ErrConflict) {
		return l.refresh(ctx) // an integration joined or left
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
	l.discard()
	l.confirmed(now)
	return nil
}

// acked returns the last segment that a live integration has acknowledged. Without a
// worker (in Mode Wake, or joined since the state was read), that is the one it
// joined with.
func (l *live) acked(member *handoff.Subscriber) uint64 {
	if sub := l.subscribers[member.ID]; sub != nil && sub.member.Generation == member.Generation {
		return sub.State().Acked
	}
	return l.state.AckedBy(member)
}

// discard removes the segments up to the low watermark from the buffer.
func (l *live) discard() {
	l.segs = slices.DeleteFunc(l.segs, func(s eventlog.Segment) bool { return s.Number <= l.state.LowWatermark })
}

// wait returns when there may be work to do.
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
