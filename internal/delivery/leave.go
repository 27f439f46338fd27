package delivery

import (
	"context"
	"errors"
	"time"

	"github.com/sluicehq/sluice/internal/backoff"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// leaveReason is why an integration leaves the live set. The zero value means that
// it is woken, or that the loop ends.
type leaveReason struct {
	slow     bool            // it blocked the others
	err      error           // an internal error
	failure  *worker.Failure // the receiver failed
	inFlight bool            // its calls go on; their outcome is saved later
}

// errNotLive means that an integration cannot leave, as it is not in the live set:
// it was stopped or deleted.
var errNotLive = errors.New("the integration is not in the live set")

// evictOne moves a subscriber to its cursor with its exact ack state. It does not
// wait for calls in flight: the cursor gets a lease, and finishLeaving saves their
// outcome.
func (l *live) evictOne(ctx context.Context, id string, why leaveReason) error {
	sub := l.subscribers[id]
	sub.Halt()
	sub.leaving = &why
	st := sub.State()
	if why.inFlight = !st.Drained; !why.inFlight {
		why.failure = st.Failure
	}
	c, err := l.leave(ctx, sub.member, sub.in, sub.AckState(), why)
	if errors.Is(err, errNotLive) {
		l.drop(id)
		return nil
	}
	if err != nil {
		return err // try again once the store is available
	}
	delete(l.subscribers, id)
	if why.err != nil {
		l.engine.Logger.Error("integration left live delivery", "tenant", sub.in.Tenant, "integration", sub.in.ID, "error", why.err)
	}
	if !why.inFlight {
		sub.close()
		return nil
	}
	l.engine.leaving.Go(func() { l.engine.finishLeaving(sub, c, why) })
	return nil
}

// finishLeaving waits for the calls in flight of a subscriber that has left, and
// saves its exact ack state. If that fails, the lease expires and those events are
// sent again.
func (e *Engine) finishLeaving(sub *subscriber, c *handoff.Cursor, why leaveReason) {
	defer sub.end()
	sub.Drain()
	why.failure = sub.State().Failure
	c.AckState, c.DueAt = sub.AckState(), e.Now()
	entries := e.afterLeaving(sub.in, c, why)
	err := e.lastWrite(context.Background(), func(ctx context.Context) error {
		return e.commitFailure(ctx, entries, store.PutCursor{Cursor: c})
	})
	if err != nil && !errors.Is(err, store.ErrConflict) { // a conflict is a stop
		e.Logger.Error("ack state not saved after integration left live delivery; calls that were in flight will be repeated",
			"tenant", sub.in.Tenant, "integration", sub.in.ID, "error", err)
	}
	e.Schedule(c.Key)
}

// Wait waits for the calls in flight of subscribers that left live delivery. Call it
// after DeliverLive has returned. It takes at most SLUICE_WEBHOOK_TIMEOUT, or Grace
// after the context of that DeliverLive has ended.
func (e *Engine) Wait() { e.leaving.Wait() }

// leaveUnopened removes an integration whose sink cannot be opened, so that it does
// not affect the others.
func (l *live) leaveUnopened(ctx context.Context, member handoff.Subscriber, in *integration.Integration, at handoff.AckState, err error) error {
	why := leaveReason{failure: unopened(err, l.engine.Now())}
	if problem.CodeOf(err) == problem.Unavailable {
		why = leaveReason{err: err}
	}
	if _, err := l.leave(ctx, member, in, at, why); !errors.Is(err, errNotLive) {
		return err
	}
	return nil
}

// unopened returns the failure of an integration whose sink cannot be opened, for
// example because its secret is unreadable.
func unopened(err error, at time.Time) *worker.Failure {
	return &worker.Failure{At: at, Verdict: sink.Verdict{
		Outcome: sink.Retry,
		Reason:  "The stored integration cannot be used. Reason: " + problem.MessageOf(err),
		Cause:   problem.MessageOf(err),
	}}
}

// leave moves an integration from the live set to its cursor in one transaction,
// and returns the cursor. It returns errNotLive if the integration is no longer
// live.
func (l *live) leave(ctx context.Context, member handoff.Subscriber, in *integration.Integration, at handoff.AckState, why leaveReason) (*handoff.Cursor, error) {
	key := handoff.Key{Tenant: l.partition.Tenant, Integration: member.ID, Lane: l.partition.Lane}
	var c *handoff.Cursor
	conflict := false
	err := store.Transact(func() (err error) {
		if conflict {
			l.stale = true // others joined or left
			if l.state, err = l.reread(ctx); err != nil {
				return err
			}
		}
		c, err = l.tryLeave(ctx, key, member, in, at, why)
		conflict = errors.Is(err, store.ErrConflict)
		return err
	})
	if !why.inFlight {
		l.engine.Schedule(key) // after an error too: it may have left
	}
	if errors.Is(err, errNotLive) {
		l.stale = true
	}
	return c, err
}

// reread reads the partition's state again. On an error it returns the old one.
func (l *live) reread(ctx context.Context) (*handoff.PartitionState, error) {
	state, err := l.engine.Store.Partition(ctx, l.partition)
	if err != nil {
		return l.state, err
	}
	return state, nil
}

func (l *live) tryLeave(ctx context.Context, key handoff.Key, member handoff.Subscriber, in *integration.Integration, at handoff.AckState, why leaveReason) (*handoff.Cursor, error) {
	c, err := l.engine.Store.Cursor(ctx, key)
	if problem.CodeOf(err) == problem.NotFound {
		return nil, errNotLive
	}
	if err != nil {
		return nil, err
	}
	next := *l.state
	entries, err := l.transition(&next, c, member, in, at, why)
	if err != nil {
		return nil, err
	}
	if err := l.engine.commitFailure(ctx, entries, store.PutCursor{Cursor: c}, store.PutPartition{State: &next}); err != nil {
		return nil, err
	}
	l.state = &next
	return c, nil
}

// transition changes the partition state and the cursor of an integration that
// leaves, and returns the log entries that say why. The error is errNotLive if the
// integration is not live.
func (l *live) transition(state *handoff.PartitionState, c *handoff.Cursor, member handoff.Subscriber, in *integration.Integration, at handoff.AckState, why leaveReason) ([]store.AddEntry, error) {
	e, now := l.engine, l.engine.Now()
	if c.Generation != member.Generation || !handoff.Leave(state, c, at, now.Add(member.WakeDelay)) {
		return nil, errNotLive
	}
	c.LeftAt = now
	if why.inFlight {
		c.DueAt = now.Add(QuietAfter(e.Settings))
	}
	if why.slow {
		e.penalise(c, member)
	}
	return e.afterLeaving(in, c, why), nil
}

// afterLeaving changes the cursor of an integration that has left by the outcome of
// its last calls, and returns the log entries for it.
func (e *Engine) afterLeaving(in *integration.Integration, c *handoff.Cursor, why leaveReason) []store.AddEntry {
	switch {
	case why.failure != nil:
		return e.backOff(in, c, why.failure)
	case why.err != nil:
		c.DueAt = e.Now().Add(e.Settings.RetryMin)
	}
	return nil
}

// commitFailure makes the writes for a failed attempt, and saves its log entries with
// them or, with a SoleOwner, later together with others.
func (e *Engine) commitFailure(ctx context.Context, entries []store.AddEntry, writes ...store.Write) error {
	if e.SoleOwner == nil {
		return e.Store.Commit(ctx, append(writes, writesOf(entries)...)...)
	}
	if err := e.Store.Commit(ctx, writes...); err != nil {
		return err
	}
	e.SoleOwner.keep(entries)
	return nil
}

// penalise keeps an integration that blocked others out of Mode Deliver for a while,
// longer each time.
func (e *Engine) penalise(c *handoff.Cursor, member handoff.Subscriber) {
	now := e.Now()
	if now.Sub(member.JoinedAt) > e.Settings.RetryMax {
		c.Slowness = 0 // it kept up for long enough
	}
	c.Slowness++
	c.SlowUntil = now.Add(backoff.Ceiling(e.Settings.RetryMin, c.Slowness, e.Settings.RetryMax))
}

// wake moves the subscribers in Mode Wake to their cursors if there are events for
// them.
func (l *live) wake(ctx context.Context) error {
	for i := l.toWake(); i >= 0; i = l.toWake() {
		member := l.state.Live[i]
		at := handoff.AckState{Offset: handoff.Offset{Segment: l.state.AckedBy(&member)}}
		if _, err := l.leave(ctx, member, nil, at, leaveReason{}); errors.Is(err, errNotLive) {
			return l.refresh(ctx)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// toWake returns the index of a live integration that must be woken, or -1.
func (l *live) toWake() int {
	for i := range l.state.Live {
		if member := &l.state.Live[i]; member.Mode == handoff.Wake && l.state.AckedBy(member) < l.end.Segment() {
			return i
		}
	}
	return -1
}
