package delivery

import (
	"context"
	"errors"
	"slices"
	"sync"
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

// leaver is an integration that leaves the live set.
type leaver struct {
	member handoff.Subscriber
	in     *integration.Integration
	at     handoff.AckState
	why    leaveReason
	sub    *subscriber     // its worker, if it has one
	cursor *handoff.Cursor // where it is after leave; nil if it was not live any more, stopped or deleted
}

// maxLeavers is how many integrations leave in one commit: each takes two writes, and a
// commit has at most 100.
const maxLeavers = 49

// halted starts no more calls of a subscriber, which then leaves with its exact ack
// state. It does not wait for calls in flight: the cursor gets a lease, and
// finishLeaving saves their outcome.
func halted(sub *subscriber, why leaveReason) leaver {
	sub.Halt()
	sub.leaving = &why
	st := sub.State()
	if why.inFlight = !st.Drained; !why.inFlight {
		why.failure = st.Failure
	}
	return leaver{member: sub.member, in: sub.in, at: sub.AckState(), why: why, sub: sub}
}

// evictThese moves halted subscribers to their cursors. If that fails, they leave once
// the store is available.
func (l *live) evictThese(ctx context.Context, leavers []leaver) error {
	for some := range slices.Chunk(leavers, maxLeavers) {
		if err := l.leave(ctx, some); err != nil {
			return err
		}
		for _, lv := range some {
			l.evicted(lv)
		}
	}
	return nil
}

func (l *live) evicted(lv leaver) {
	sub, why := lv.sub, lv.why
	if lv.cursor == nil {
		l.drop(sub.member.ID)
		return
	}
	delete(l.subscribers, sub.member.ID)
	if why.err != nil {
		l.engine.Logger.Error("integration left live delivery", "tenant", sub.in.Tenant, "integration", sub.in.ID, "error", why.err)
	}
	if !why.inFlight {
		sub.close()
		return
	}
	l.engine.leaving.Go(func() { l.engine.finishLeaving(sub, lv.cursor, why) })
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
	writes := append(e.deliveryRecords(c.Key.Partition(), sub.in.ID, partOf(sub.in, sub.TakeResults(allSegments))), store.PutCursor{Cursor: c})
	err := e.lastWrite(context.Background(), func(ctx context.Context) error { return e.commitFailure(ctx, entries, writes...) })
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
	return l.leave(ctx, []leaver{{member: member, in: in, at: at, why: why}})
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

// leave moves up to maxLeavers integrations from the live set to their cursors, which
// it puts into the leavers, in one transaction: when the receivers of a tenant fail
// together, each commit of its own would cost several pages of a database.
func (l *live) leave(ctx context.Context, leavers []leaver) error {
	conflict := false
	err := store.Transact(func() (err error) {
		if conflict {
			l.stale = true // others joined or left
			if l.state, err = l.reread(ctx); err != nil {
				return err
			}
		}
		err = l.tryLeave(ctx, leavers)
		conflict = errors.Is(err, store.ErrConflict)
		return err
	})
	for _, lv := range leavers {
		if !lv.why.inFlight {
			l.engine.Schedule(l.key(lv.member.ID)) // after an error too: it may have left
		}
	}
	return err
}

func (l *live) key(id string) handoff.Key {
	return handoff.Key{Tenant: l.partition.Tenant, Integration: id, Lane: l.partition.Lane}
}

// reread reads the partition's state again. On an error it returns the old one.
func (l *live) reread(ctx context.Context) (*handoff.PartitionState, error) {
	state, err := l.engine.Store.Partition(ctx, l.partition)
	if err != nil {
		return l.state, err
	}
	return state, nil
}

// tryLeave makes one commit that moves the leavers to their cursors and raises the low
// watermark as far as those that stay allow: a commit of its own would write the partition
// state once more.
func (l *live) tryLeave(ctx context.Context, leavers []leaver) error {
	cursors, err := l.cursors(ctx, leavers)
	if err != nil {
		return err
	}
	next := *l.state
	var writes []store.Write
	var entries []store.AddEntry
	for i := range leavers {
		lv := &leavers[i]
		if lv.cursor = cursors[i]; lv.cursor == nil || !l.move(lv, &next) {
			lv.cursor, l.stale = nil, true
			continue
		}
		entries = append(entries, l.engine.afterLeaving(lv.in, lv.cursor, lv.why)...)
		writes = append(writes, store.PutCursor{Cursor: lv.cursor})
	}
	if raised := l.raise(&next); len(writes) == 0 && !raised {
		return nil
	}
	sent := l.sent(&next, leavers)
	writes = append(writes, sent.writes...)
	if err := l.engine.commitFailure(ctx, entries, append(writes, store.PutPartition{State: &next})...); err != nil {
		sent.giveBack()
		return err
	}
	l.state = &next
	l.discard()
	return nil
}

// cursors reads the cursors of leavers concurrently; nil for those that are deleted.
func (l *live) cursors(ctx context.Context, leavers []leaver) ([]*handoff.Cursor, error) {
	cursors, errs := make([]*handoff.Cursor, len(leavers)), make([]error, len(leavers))
	var reads sync.WaitGroup
	for i, lv := range leavers {
		reads.Go(func() { cursors[i], errs[i] = l.engine.Store.Cursor(ctx, l.key(lv.member.ID)) })
	}
	reads.Wait()
	for i, err := range errs {
		if problem.CodeOf(err) == problem.NotFound {
			cursors[i] = nil
		} else if err != nil {
			return nil, err
		}
	}
	return cursors, nil
}

// move moves a leaver from the partition state to its cursor. It reports false, and
// changes nothing, if it is not live.
func (l *live) move(lv *leaver, state *handoff.PartitionState) bool {
	e, c, now := l.engine, lv.cursor, l.engine.Now()
	if c.Generation != lv.member.Generation || !handoff.Leave(state, c, lv.at, now.Add(lv.member.WakeDelay)) {
		return false
	}
	c.LeftAt = now
	if lv.why.inFlight {
		c.DueAt = now.Add(QuietAfter(e.Settings))
	}
	if lv.why.slow {
		e.penalise(c, lv.member)
	}
	return true
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
	for some := range slices.Chunk(l.toWake(), maxLeavers) {
		if err := l.leave(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// toWake returns the live integrations that must be woken.
func (l *live) toWake() []leaver {
	var asleep []leaver
	for i := range l.state.Live {
		if member := &l.state.Live[i]; l.mustWake(member) {
			asleep = append(asleep, leaver{member: *member, at: l.state.AckStateOf(member)})
		}
	}
	return asleep
}

func (l *live) mustWake(member *handoff.Subscriber) bool {
	return member.Mode == handoff.Wake && l.state.AckedBy(member) < l.end.Segment()
}
