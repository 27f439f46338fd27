package delivery

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/worker"
)

// How long a slow subscriber may block others before it is evicted: this fraction of
// FollowBudget. Others are blocked if they are idle and the buffer is full. With a
// fixed end, everything is blocked: the next batch, of other tenants too, waits for
// this loop. The limit is higher there, as eviction is more expensive: a step of the cursor's
// own goes by the queue.
const (
	blockShare      = 250
	fixedBlockShare = 5
)

// evict removes subscribers that failed, used up the budget, or block others.
func (l *live) evict(ctx context.Context) error {
	now := l.engine.Now()
	blocked := l.blocked(now)
	var leavers []leaver
	for _, sub := range l.subscribers {
		st := sub.State()
		switch {
		case sub.leaving != nil: // the store was unavailable before
			leavers = append(leavers, halted(sub, *sub.leaving))
		case st.Closed:
			l.stale = true // ended by a stop
		default:
			if why, leaves := l.mustLeave(st, now, blocked); leaves {
				leavers = append(leavers, halted(sub, why))
			}
		}
	}
	return l.evictThese(ctx, leavers)
}

// mustLeave decides whether a subscriber must leave. One whose receiver failed may
// finish its other calls first, if it blocks no one.
func (l *live) mustLeave(st worker.State, now time.Time, blocked bool) (why leaveReason, leaves bool) {
	at := leaveAt(st, l.engine.Settings.FollowBudget)
	late := !at.IsZero() && !now.Before(at)
	switch {
	case st.Err != nil:
		return leaveReason{err: st.Err}, true
	case st.Failure != nil:
		return leaveReason{}, st.Drained || blocked || late
	case st.Idle || !now.Before(st.Deadline): // past its deadline it may not send, so it is not slow
		return leaveReason{}, false
	default: // one that waits for this process is not slow, but must not block others either
		return leaveReason{slow: !st.Waiting}, late || blocked && st.Acked <= l.state.LowWatermark
	}
}

// leaveAt returns when a worker in this state must leave, zero for never.
func leaveAt(st worker.State, budget time.Duration) time.Time {
	switch {
	case st.Failure != nil:
		return st.Failure.At.Add(budget)
	case !st.Idle && (st.Calling || !st.Waiting):
		return st.MovedAt.Add(budget)
	}
	return time.Time{}
}

// blockLimit returns how long others may be blocked before a slower subscriber is
// evicted.
func (l *live) blockLimit() time.Duration {
	if l.end.fixed {
		return l.engine.Settings.FollowBudget / fixedBlockShare
	}
	return l.engine.Settings.FollowBudget / blockShare
}

// blocked reports whether others have been blocked for blockLimit.
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
