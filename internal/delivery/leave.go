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

// How long a slow subscriber may block others before it is evicted, as a share
// of the budget. Others are blocked if they have everything and no more fits in
// the buffer; or if the end is fixed, by which what comes next, of other tenants
// too, waits for this loop. To leave costs more there, as an execution has to be
// started for the cursor.
const (
	blockShare      = 250
	fixedBlockShare = 5
)

// departure is why and how an integration leaves the live set. Without any field
// it leaves because it is to be woken, or because the loop ends.
type departure struct {
	slow     bool            // it held up the others
	err      error           // we failed ourselves
	failure  *worker.Failure // the receiver failed
	inFlight bool            // its calls go on, and what becomes of them is written later
}

// errNotLive says that an integration that should leave is not in the live set:
// it was stopped or deleted.
var errNotLive = errors.New("the integration is not in the live set")

// evict removes those who failed, used up the budget, or hold up the others.
func (l *live) evict(ctx context.Context) error {
	now := l.engine.Now()
	blocked := l.blocked(now)
	for id, sub := range l.subscribers {
		st := sub.State()
		switch {
		case sub.leaving != nil: // the store was unavailable before
			if err := l.part(ctx, id, *sub.leaving); err != nil {
				return err
			}
		case st.Closed:
			l.stale = true // a stop has ended it
		default:
			why, leaves := l.mustLeave(st, now, blocked)
			if !leaves {
				continue
			}
			if err := l.part(ctx, id, why); err != nil {
				return err
			}
		}
	}
	return nil
}

// mustLeave decides whether a subscriber has to leave. One whose receiver failed
// may end its other calls where nobody waits for it.
func (l *live) mustLeave(st worker.State, now time.Time, blocked bool) (why departure, leaves bool) {
	at := leaveAt(st, l.engine.Settings.FollowBudget)
	late := !at.IsZero() && !now.Before(at)
	switch {
	case st.Err != nil:
		return departure{err: st.Err}, true
	case st.Failure != nil:
		return departure{}, st.Drained || blocked || late
	case st.Idle || !now.Before(st.Deadline): // without a deadline ahead it could not be quicker
		return departure{}, false
	default:
		return departure{slow: true}, late || blocked && st.Acked <= l.state.LowWatermark
	}
}

// leaveAt is when a worker has to leave as it stands, zero for never.
func leaveAt(st worker.State, budget time.Duration) time.Time {
	switch {
	case st.Failure != nil:
		return st.Failure.At.Add(budget)
	case !st.Idle:
		return st.MovedAt.Add(budget)
	}
	return time.Time{}
}

// blockLimit is how long the others are held up before a slower one leaves.
func (l *live) blockLimit() time.Duration {
	if l.end.fixed {
		return l.engine.Settings.FollowBudget / fixedBlockShare
	}
	return l.engine.Settings.FollowBudget / blockShare
}

// blocked reports whether others have waited for longer than that.
func (l *live) blocked(now time.Time) bool {
	waiting := l.end.fixed
	if l.buffered() < l.end.Segment() && l.full() {
		for _, sub := range l.subscribers {
			waiting = waiting || sub.State().Idle
		}
	}
	if !waiting {
		l.blockedAt = time.Time{}
		return false
	}
	if l.blockedAt.IsZero() {
		l.blockedAt = now
	}
	return now.Sub(l.blockedAt) >= l.blockLimit()
}

// part makes a subscriber leave with its exact progress. Nobody waits for its
// calls in flight: it leaves with a lease on its cursor, and when they have ended
// what became of them is written.
func (l *live) part(ctx context.Context, id string, why departure) error {
	sub := l.subscribers[id]
	sub.Halt()
	sub.leaving = &why
	st := sub.State()
	if why.inFlight = !st.Drained; !why.inFlight {
		why.failure = st.Failure
	}
	c, err := l.leave(ctx, sub.entry, sub.in, sub.AckState(), why)
	if errors.Is(err, errNotLive) {
		l.drop(id)
		return nil
	}
	if err != nil {
		return err // it leaves when the store is available
	}
	delete(l.subscribers, id)
	if why.err != nil {
		l.engine.Logger.Error("an integration left live delivery", "tenant", sub.in.Tenant, "integration", sub.in.ID, "error", why.err)
	}
	if !why.inFlight {
		sub.close()
		return nil
	}
	l.engine.leaving.Go(func() { l.engine.finishLeaving(sub, c, why) })
	return nil
}

// finishLeaving waits for the calls in flight of a subscriber that has left, and
// writes its exact progress. If it cannot, the lease ends by itself and they are
// sent again.
func (e *Engine) finishLeaving(sub *subscriber, c *handoff.Cursor, why departure) {
	defer sub.end()
	sub.Drain()
	why.failure = sub.State().Failure
	c.AckState, c.DueAt = sub.AckState(), e.Now()
	writes := e.afterLeaving(sub.in, c, why)
	err := e.lastWrite(context.Background(), func(ctx context.Context) error {
		return e.Store.Commit(ctx, writes...)
	})
	if err != nil && !errors.Is(err, store.ErrConflict) { // a conflict is a stop
		e.Logger.Error("the progress of an integration that left live delivery is not saved; calls that were in flight will be repeated",
			"tenant", sub.in.Tenant, "integration", sub.in.ID, "error", err)
	}
	e.Schedule(c.Key)
}

// Wait returns when no call is in flight of a subscriber that left a DeliverLive
// which has returned. It takes SLUICE_WEBHOOK_TIMEOUT at most, or the Grace once
// ctx of that DeliverLive has ended.
func (e *Engine) Wait() { e.leaving.Wait() }

// leaveUnopened makes an integration leave whose sink cannot be opened: its own
// trouble, which the others must not feel.
func (l *live) leaveUnopened(ctx context.Context, entry handoff.Subscriber, in *integration.Integration, at handoff.AckState, err error) error {
	why := departure{failure: unopened(err, l.engine.Now())}
	if problem.CodeOf(err) == problem.Unavailable {
		why = departure{err: err}
	}
	if _, err := l.leave(ctx, entry, in, at, why); !errors.Is(err, errNotLive) {
		return err
	}
	return nil
}

// unopened is the failure of an integration whose sink cannot be opened, its
// secret being unreadable for example.
func unopened(err error, at time.Time) *worker.Failure {
	return &worker.Failure{At: at, Verdict: sink.Verdict{
		Outcome: sink.Retry,
		Reason:  "The integration cannot be used as it is stored. Reason: " + problem.MessageOf(err),
	}}
}

// leave moves an integration from the live set to its cursor, in one
// transaction, and returns the cursor. It fails with errNotLive if the
// integration is not live any more.
func (l *live) leave(ctx context.Context, entry handoff.Subscriber, in *integration.Integration, at handoff.AckState, why departure) (*handoff.Cursor, error) {
	key := handoff.Key{Tenant: l.partition.Tenant, Integration: entry.ID, Lane: l.partition.Lane}
	var c *handoff.Cursor
	conflict := false
	err := store.Transact(func() (err error) {
		if conflict {
			l.stale = true // others joined or left
			if l.state, err = l.reread(ctx); err != nil {
				return err
			}
		}
		c, err = l.tryLeave(ctx, key, entry, in, at, why)
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

// reread reads the state of the partition; after an error it is as it was.
func (l *live) reread(ctx context.Context) (*handoff.PartitionState, error) {
	state, err := l.engine.Store.Partition(ctx, l.partition)
	if err != nil {
		return l.state, err
	}
	return state, nil
}

func (l *live) tryLeave(ctx context.Context, key handoff.Key, entry handoff.Subscriber, in *integration.Integration, at handoff.AckState, why departure) (*handoff.Cursor, error) {
	c, err := l.engine.Store.Cursor(ctx, key)
	if problem.CodeOf(err) == problem.NotFound {
		return nil, errNotLive
	}
	if err != nil {
		return nil, err
	}
	next := *l.state
	writes, err := l.transition(&next, c, entry, in, at, why)
	if err != nil {
		return nil, err
	}
	if err := l.engine.Store.Commit(ctx, append(writes, store.PutPartition{State: &next})...); err != nil {
		return nil, err
	}
	l.state = &next
	return c, nil
}

// transition changes the partition's state and the cursor for an integration
// that leaves, and returns the writes besides the state's. It fails with
// errNotLive if the integration is not live.
func (l *live) transition(state *handoff.PartitionState, c *handoff.Cursor, entry handoff.Subscriber, in *integration.Integration, at handoff.AckState, why departure) ([]store.Write, error) {
	e, now := l.engine, l.engine.Now()
	if c.Generation != entry.Generation || !handoff.Leave(state, c, at, now.Add(entry.WakeDelay)) {
		return nil, errNotLive
	}
	c.LeftAt = now
	if why.inFlight {
		c.DueAt = now.Add(QuietAfter(e.Settings))
	}
	if why.slow {
		e.penalise(c, entry)
	}
	return e.afterLeaving(in, c, why), nil
}

// afterLeaving returns the writes of a cursor whose integration has left, with
// what became of its last calls.
func (e *Engine) afterLeaving(in *integration.Integration, c *handoff.Cursor, why departure) []store.Write {
	writes := []store.Write{store.PutCursor{Cursor: c}}
	switch {
	case why.failure != nil:
		writes = append(writes, e.backOff(in, c, why.failure))
	case why.err != nil:
		c.DueAt = e.Now().Add(e.Settings.RetryMin)
	}
	return writes
}

// penalise keeps an integration that held up the others from joining them again
// for a while, longer each time.
func (e *Engine) penalise(c *handoff.Cursor, entry handoff.Subscriber) {
	now := e.Now()
	if now.Sub(entry.JoinedAt) > e.Settings.RetryMax {
		c.Slowness = 0 // it kept up for long enough
	}
	c.Slowness++
	c.SlowUntil = now.Add(backoff.Ceiling(e.Settings.RetryMin, c.Slowness, e.Settings.RetryMax))
}

// wake makes those leave who only want to be told that there are events.
func (l *live) wake(ctx context.Context) error {
	for i := l.sleeper(); i >= 0; i = l.sleeper() {
		entry := l.state.Live[i]
		at := handoff.AckState{Offset: handoff.Offset{Segment: l.state.AckedBy(&entry)}}
		if _, err := l.leave(ctx, entry, nil, at, departure{}); errors.Is(err, errNotLive) {
			return l.refresh(ctx)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// sleeper is the index of a live integration that has to be woken, or -1.
func (l *live) sleeper() int {
	for i := range l.state.Live {
		if entry := &l.state.Live[i]; entry.Mode == handoff.Wake && l.state.AckedBy(entry) < l.end.Segment() {
			return i
		}
	}
	return -1
}
