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
		if len(l.toWake()) == 0 && !l.starved() {
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

func (l *live) close() {
	for _, sub := range l.subscribers {
		sub.Abandon()
	}
	for id := range l.subscribers {
		l.drop(id)
	}
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
	now := l.engine.Now()
	next := *l.state
	if !l.raise(&next) {
		return nil
	}
	sent := l.sent(&next, nil)
	if err := l.engine.Store.Commit(ctx, append(sent.writes, store.PutPartition{State: &next})...); err != nil {
		sent.giveBack()
		return err
	}
	l.state, l.unavailable = &next, false
	l.discard()
	l.confirmed(now)
	return nil
}

// raise raises the low watermark of a state to the last segment that everyone in its live
// set has acknowledged, and notes what their workers have done. It reports false, and
// changes nothing, if that is no higher.
func (l *live) raise(state *handoff.PartitionState) bool {
	n := l.end.Segment()
	for i := range state.Live {
		n = min(n, l.acked(&state.Live[i]))
	}
	if n <= state.LowWatermark {
		return false
	}
	state.LowWatermark, state.Live = n, l.tallied(state.Live)
	return true
}

// tallied returns a live set with what its workers have done.
func (l *live) tallied(of []handoff.Subscriber) []handoff.Subscriber {
	members := slices.Clone(of)
	for i := range members {
		if sub := l.subscribers[members[i].ID]; sub != nil && sub.member.Generation == members[i].Generation {
			members[i].Tally = sub.Tally()
		}
	}
	return members
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
