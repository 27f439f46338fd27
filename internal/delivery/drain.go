package delivery

import (
	"context"
	"sync"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// end drains the loop and says whether the tail was reached. Whoever called it
// must see to it that somebody goes on from the record if it was not.
func (f *follow) end() error {
	if err := f.drain(); err != nil {
		return err
	}
	if head := f.tail.Head(); f.record.Delivered < head {
		return problem.Wrap(context.Cause(f.ctx), problem.Unavailable, "The follow loop of lane %d of tenant %q ended at segment %d of %d.",
			f.partition.Lane, f.partition.Tenant, f.record.Delivered, head)
	}
	return nil
}

// drain ends the loop in good order. Calls in flight end first. Then one commit
// takes off the roster everyone whose progress delivered cannot express, and
// raises delivered to what the others have: in several commits, the process
// could stop between them and events that arrived would be sent again.
func (f *follow) drain() error {
	for _, r := range f.riders {
		r.halt()
	}
	for _, r := range f.riders {
		r.quiet()
	}
	for {
		left := 0
		err := f.engine.lastWrite(f.hard, func(ctx context.Context) error {
			return repeat(func() (err error) {
				left, err = f.tryDrain(ctx)
				return err
			})
		})
		if err != nil || left < maxLeavers {
			return err
		}
	}
}

// maxLeavers is how many followers leave in one commit, with two writes each: a
// commit has 100 at most.
const maxLeavers = 49

// tryDrain commits what drain has to, for up to maxLeavers who leave, and
// returns how many left. The record is read anew each time: others may have
// joined or left since, or the last try may have been committed.
func (f *follow) tryDrain(ctx context.Context) (left int, err error) {
	r, err := f.engine.Store.Record(ctx, f.partition)
	if err != nil {
		return 0, err
	}
	f.record = r
	delivered, leavers := f.leavers(r)
	cursors, err := f.cursors(ctx, leavers)
	if err != nil {
		return 0, err
	}
	next := *r
	next.Delivered = delivered
	var writes []store.Write
	var keys []handoff.Key
	for i, rider := range leavers {
		more, ok := f.leaving(&next, cursors[i], rider.entry, rider.in, rider.progress(), rider.farewell())
		if !ok {
			return 0, store.ErrConflict // stopped between the two reads
		}
		writes, keys = append(writes, more...), append(keys, cursors[i].Key)
	}
	if delivered == r.Delivered && len(leavers) == 0 {
		return 0, nil
	}
	err = f.engine.Store.Commit(ctx, append(writes, store.PutRecord{Record: &next})...)
	f.engine.Drive(keys...) // after an error too: they may have left
	if err != nil {
		return 0, err
	}
	f.record = &next
	return len(leavers), nil
}

// leavers returns what delivered can be raised to, and up to maxLeavers who have
// to leave for it: those with something unfinished, and those who have more than
// somebody without a rider, or with an older one, holds delivered at.
func (f *follow) leavers(r *handoff.Record) (delivered uint64, leavers []*follower) {
	delivered = f.tail.Head()
	var ahead []*follower
	for i := range r.Followers {
		entry := &r.Followers[i]
		rider := f.riders[entry.ID]
		switch {
		case rider == nil || rider.entry.Generation != entry.Generation:
			delivered = min(delivered, r.Start(entry))
		case !rider.state().idle && len(leavers) < maxLeavers:
			leavers = append(leavers, rider)
		default:
			delivered = min(delivered, rider.state().through)
			ahead = append(ahead, rider)
		}
	}
	delivered = max(delivered, r.Delivered)
	for _, rider := range ahead {
		if rider.state().through > delivered && len(leavers) < maxLeavers {
			leavers = append(leavers, rider)
		}
	}
	return delivered, leavers
}

// farewell is why a rider leaves that the end of the loop takes off the roster.
func (r *follower) farewell() parting {
	st := r.state()
	why := parting{failure: st.failure, err: st.err}
	if r.leaving != nil {
		why.slow = r.leaving.slow
	}
	return why
}

// cursors reads the cursors of followers, side by side.
func (f *follow) cursors(ctx context.Context, of []*follower) ([]*handoff.Cursor, error) {
	cursors, errs := make([]*handoff.Cursor, len(of)), make([]error, len(of))
	var reads sync.WaitGroup
	for i, rider := range of {
		reads.Go(func() {
			key := handoff.Key{Tenant: f.partition.Tenant, Integration: rider.entry.ID, Lane: f.partition.Lane}
			cursors[i], errs[i] = f.engine.Store.Cursor(ctx, key)
		})
	}
	reads.Wait()
	for _, err := range errs {
		if problem.CodeOf(err) == problem.NotFound {
			return nil, store.ErrConflict // deleted since the record was read
		}
		if err != nil {
			return nil, err
		}
	}
	return cursors, nil
}
