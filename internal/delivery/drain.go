package delivery

import (
	"context"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// finish drains the loop. It returns problem.Unavailable if the low watermark has
// not reached the end; the caller must then call DeliverLive again.
func (l *live) finish(ctx context.Context, cause error) error {
	if err := l.drain(ctx); err != nil {
		l.engine.Logger.Error("ack states not saved at shutdown; events will be sent again",
			"tenant", l.partition.Tenant, "lane", l.partition.Lane, "error", err)
		return err
	}
	if end := l.end.Segment(); l.state.LowWatermark < end {
		return problem.Wrap(cause, problem.Unavailable, "Live delivery in lane %d of tenant %q ended at segment %d of %d.",
			l.partition.Lane, l.partition.Tenant, l.state.LowWatermark, end)
	}
	return nil
}

// drain shuts the loop down gracefully. It waits for calls in flight. Then one
// commit raises the low watermark as far as possible, and removes from the live
// set every subscriber whose ack state the watermark cannot express. With several
// commits, a crash between them would repeat acknowledged events.
func (l *live) drain(ctx context.Context) error {
	for _, sub := range l.subscribers {
		sub.Halt()
	}
	for _, sub := range l.subscribers {
		sub.Drain()
	}
	for {
		left := 0
		err := l.engine.lastWrite(ctx, func(ctx context.Context) error {
			return store.Transact(func() (err error) {
				left, err = l.tryDrain(ctx)
				return err
			})
		})
		if err != nil || left < maxLeavers {
			return err
		}
	}
}

// tryDrain makes one commit of drain, for up to maxLeavers subscribers, and returns
// how many left. It reads the state again each time: others may have joined or
// left, or the last attempt may have been committed.
func (l *live) tryDrain(ctx context.Context) (left int, err error) {
	if l.state, err = l.reread(ctx); err != nil {
		return 0, err
	}
	watermark, leavers := l.leavers()
	if watermark == l.state.LowWatermark && len(leavers) == 0 {
		return 0, nil
	}
	err = l.tryLeave(ctx, leavers)
	for _, lv := range leavers {
		l.engine.Schedule(l.key(lv.member.ID)) // after an error too: it may have left
	}
	return len(leavers), err
}

// leavers returns how far the low watermark can be raised, and up to maxLeavers
// subscribers that must leave: those with unacknowledged events, and those ahead
// of the watermark where one without a worker, or with a worker of an older
// generation, holds it back.
func (l *live) leavers() (watermark uint64, leavers []leaver) {
	watermark = l.end.Segment()
	var ahead []*subscriber
	for i := range l.state.Live {
		member := &l.state.Live[i]
		sub := l.subscribers[member.ID]
		switch {
		case sub == nil || sub.member.Generation != member.Generation:
			watermark = min(watermark, l.state.AckedBy(member))
		case !sub.State().Idle && len(leavers) < maxLeavers:
			leavers = append(leavers, drained(sub))
		default:
			watermark = min(watermark, sub.State().Acked)
			ahead = append(ahead, sub)
		}
	}
	watermark = max(watermark, l.state.LowWatermark)
	for _, sub := range ahead {
		if sub.State().Acked > watermark && len(leavers) < maxLeavers {
			leavers = append(leavers, drained(sub))
		}
	}
	return watermark, leavers
}

// drained is a subscriber that leaves at the end of the loop. Its calls have ended, so
// a failure is known.
func drained(sub *subscriber) leaver {
	st := sub.State()
	why := leaveReason{failure: st.Failure, err: st.Err}
	if sub.leaving != nil {
		why.slow = sub.leaving.slow
	}
	return leaver{member: sub.member, in: sub.in, at: sub.AckState(), why: why}
}
