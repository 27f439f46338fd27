package delivery

import (
	"context"
	"errors"
	"sync"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// finish drains the loop and says whether the low watermark reached the end. The
// caller must see to it that delivery goes on from there if it did not.
func (l *live) finish(ctx context.Context, cause error) error {
	if err := l.drain(ctx); err != nil {
		return err
	}
	if end := l.end.Segment(); l.state.LowWatermark < end {
		return problem.Wrap(cause, problem.Unavailable, "Live delivery of lane %d of tenant %q ended at segment %d of %d.",
			l.partition.Lane, l.partition.Tenant, l.state.LowWatermark, end)
	}
	return nil
}

// drain ends the loop in good order. Calls in flight end first. Then one commit
// takes everyone off the live set whose progress the low watermark cannot
// express, and raises it to what the others have: in several commits, the
// process could stop between them and acknowledged events would be sent again.
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

// maxLeavers is how many leave in one commit, with two writes each: a commit has
// 100 at most.
const maxLeavers = 49

// tryDrain commits what drain has to, for up to maxLeavers who leave, and
// returns how many left. The state is read anew each time: others may have
// joined or left since, or the last try may have been committed.
func (l *live) tryDrain(ctx context.Context) (left int, err error) {
	if l.state, err = l.reread(ctx); err != nil {
		return 0, err
	}
	watermark, leavers := l.leavers()
	if watermark == l.state.LowWatermark && len(leavers) == 0 {
		return 0, nil
	}
	cursors, err := l.cursors(ctx, leavers)
	if err != nil {
		return 0, err
	}
	next := *l.state
	next.LowWatermark = watermark
	var writes []store.Write
	var keys []handoff.Key
	for i, sub := range leavers {
		more, err := l.transition(&next, cursors[i], sub.entry, sub.in, sub.AckState(), sub.departure())
		if errors.Is(err, errNotLive) {
			return 0, store.ErrConflict // stopped between the two reads
		}
		if err != nil {
			return 0, err
		}
		writes, keys = append(writes, more...), append(keys, cursors[i].Key)
	}
	err = l.engine.Store.Commit(ctx, append(writes, store.PutPartition{State: &next})...)
	l.engine.Schedule(keys...) // after an error too: they may have left
	if err != nil {
		return 0, err
	}
	l.state = &next
	return len(leavers), nil
}

// leavers returns what the low watermark can be raised to, and up to maxLeavers
// who have to leave for it: those with something unfinished, and those who have
// more than someone without a worker, or with an older one, holds it at.
func (l *live) leavers() (watermark uint64, leavers []*subscriber) {
	watermark = l.end.Segment()
	var ahead []*subscriber
	for i := range l.state.Live {
		entry := &l.state.Live[i]
		sub := l.subscribers[entry.ID]
		switch {
		case sub == nil || sub.entry.Generation != entry.Generation:
			watermark = min(watermark, l.state.AckedBy(entry))
		case !sub.State().Idle && len(leavers) < maxLeavers:
			leavers = append(leavers, sub)
		default:
			watermark = min(watermark, sub.State().Acked)
			ahead = append(ahead, sub)
		}
	}
	watermark = max(watermark, l.state.LowWatermark)
	for _, sub := range ahead {
		if sub.State().Acked > watermark && len(leavers) < maxLeavers {
			leavers = append(leavers, sub)
		}
	}
	return watermark, leavers
}

// departure is why a subscriber leaves at the end of the loop: its calls have
// ended, so its failure is known.
func (s *subscriber) departure() departure {
	st := s.State()
	why := departure{failure: st.Failure, err: st.Err}
	if s.leaving != nil {
		why.slow = s.leaving.slow
	}
	return why
}

// cursors reads the cursors of subscribers, all at once.
func (l *live) cursors(ctx context.Context, of []*subscriber) ([]*handoff.Cursor, error) {
	cursors, errs := make([]*handoff.Cursor, len(of)), make([]error, len(of))
	var reads sync.WaitGroup
	for i, sub := range of {
		reads.Go(func() {
			key := handoff.Key{Tenant: l.partition.Tenant, Integration: sub.entry.ID, Lane: l.partition.Lane}
			cursors[i], errs[i] = l.engine.Store.Cursor(ctx, key)
		})
	}
	reads.Wait()
	for _, err := range errs {
		if problem.CodeOf(err) == problem.NotFound {
			return nil, store.ErrConflict // deleted since the state was read
		}
		if err != nil {
			return nil, err
		}
	}
	return cursors, nil
}
