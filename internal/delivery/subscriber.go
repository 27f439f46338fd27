package delivery

import (
	"context"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/worker"
)

// subscriber is a live integration: a worker, and what is needed to remove it.
type subscriber struct {
	*worker.Worker
	in      *integration.Integration
	member  handoff.Subscriber
	end     func()       // ends its activity in the Registry, and its use of the sink
	leaving *leaveReason // it is halted, and leaves once the store is available
}

// subscribe starts a worker for a live integration.
func (l *live) subscribe(ctx context.Context, member handoff.Subscriber) error {
	e, tenant := l.engine, l.partition.Tenant
	start := l.state.AckStateOf(&member)
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
	began, err := l.begin(ctx, member, target, start)
	if !began {
		target.Release()
	}
	return err
}

// begin starts a worker that holds the target until its end. It reports false if there
// is none: the integration leaves, or has stopped.
func (l *live) begin(ctx context.Context, member handoff.Subscriber, target *worker.Target, start handoff.AckState) (began bool, err error) {
	e, tenant := l.engine, l.partition.Tenant
	if l.damagedAfter(start.Offset.Segment) {
		return false, l.leave(ctx, []leaver{{member: member, in: target.Integration, at: start}})
	}
	if len(l.segs) > 0 && l.segs[0].Number > start.Offset.Segment+1 { // trimmed before they were buffered
		if err := e.logTrimmedLive(ctx, target.Integration, l.partition.Lane); err != nil {
			return false, err
		}
	}
	calls, cancel := l.calls()
	w := e.newWorker(calls, target, l.partition.Lane, worker.Job{Start: start, Changed: l.signal, Stop: l.stop})
	end, ok := e.Registry.Begin(tenant, member.ID, member.Generation, w.Halt, w.Abandon)
	if !ok {
		cancel()
		l.stale = true // stopped since the state was read
		return false, nil
	}
	l.subscribers[member.ID] = &subscriber{Worker: w, in: target.Integration, member: member, end: func() { end(); cancel(); target.Release() }}
	w.Give(l.segs)
	return true, nil
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
