package lifecycle

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// Start restarts an integration where it stopped and returns its new state. A
// permanent one that was stopped for longer than the retention continues at the
// end of the log. A running one is returned unchanged. Errors: ReplayFinished.
func (s *Service) Start(ctx context.Context, tenant, id string) (*integration.Integration, error) {
	return s.StartFrom(ctx, tenant, id, integration.Place{})
}

// StartFrom is Start from another place in the log, back or forth, within the retention. It
// is for permanent integrations that are stopped. Errors besides those of Start:
// InvalidRequest for a place where none can start, NotStopped.
func (s *Service) StartFrom(ctx context.Context, tenant, id string, from integration.Place) (*integration.Integration, error) {
	var in *integration.Integration
	var keys []handoff.Key
	err := transact(id, func() (err error) {
		in, keys, err = s.start(ctx, tenant, id, from)
		return err
	})
	s.schedule(err, keys)
	if err != nil {
		return nil, err
	}
	if len(keys) > 0 { // it was stopped
		s.probe(in)
	}
	return in, nil
}

func (s *Service) start(ctx context.Context, tenant, id string, from integration.Place) (*integration.Integration, []handoff.Key, error) {
	t, in, err := s.read(ctx, tenant, id)
	if err != nil {
		return nil, nil, err
	}
	now, moves := s.now(), from != (integration.Place{})
	if moves {
		if err := s.checkMove(in, from, now); err != nil {
			return nil, nil, err
		}
	}
	if in.Running {
		return in, nil, nil
	}
	if !in.CompletedAt.IsZero() {
		return nil, nil, problem.New(problem.ReplayFinished, "Integration %q has finished its replay and cannot be started again; register another one for the times you need.", id)
	}
	lanes, err := s.lanes(ctx, in)
	if err != nil {
		return nil, nil, err
	}
	var notes []store.Write
	if moves {
		if notes, err = s.move(ctx, in, lanes, from, now); err != nil {
			return nil, nil, err
		}
	}
	s.reseal(ctx, in)
	t.Generation++
	in.Generation = t.Generation
	in.Running, in.OldestWaiting = true, time.Time{} // QuietAt stays: a replay may complete before then
	since := in.ReceivesFrom()
	skip := !moves && in.Type == integration.Permanent && now.Sub(in.StoppedAt) > s.Settings.Retention
	if skip || from.Latest {
		since = time.Time{}
	}
	wanted := s.lanesOf(t)
	if moves && !from.Latest { // the place may be before the tenant's lanes were lowered
		if wanted, err = s.usedLanes(ctx, tenant, max(wanted, in.Lanes)); err != nil {
			return nil, nil, err
		}
	}
	writes, err := s.grow(ctx, in, wanted, since, now)
	if err != nil {
		return nil, nil, err
	}
	for _, l := range lanes {
		if skip {
			tally := l.cursor.Tally
			if l.cursor.AckState, err = s.endOfLog(ctx, l.cursor.Key.Partition()); err != nil {
				return nil, nil, err
			}
			l.cursor.Tally = tally
		}
		handoff.Resume(l.cursor, in.Generation, now)
		writes = append(writes, store.PutCursor{Cursor: l.cursor})
	}
	keys := scheduled(writes)
	writes = append(append(writes, notes...),
		store.PutTenant{Tenant: t},
		store.PutIntegration{Integration: in},
		entry(in, integration.ActionStarted, "Started via API.", now))
	if skip {
		skipped := entry(in, integration.ActionEventsSkipped, integration.ReasonStoppedTooLong(in.StoppedAt, now, s.Settings.Retention), now)
		skipped.Alert = integration.AlertEventsSkipped
		writes = append(writes, skipped)
	}
	return in, keys, s.commit(ctx, writes...)
}

func (s *Service) endOfLog(ctx context.Context, p event.Partition) (handoff.AckState, error) {
	end, err := s.Log.End(ctx, p)
	return handoff.AckState{Offset: handoff.Offset{Segment: end}}, err
}

// Stop stops an integration and returns its new state: stopping until nothing
// can send events for it any more, or stopped at once if Quiesce confirms that.
// One that is not running is returned unchanged.
func (s *Service) Stop(ctx context.Context, tenant, id string) (*integration.Integration, error) {
	in, stopped, err := s.stop(ctx, tenant, id, integration.StoppedByAPI, "Stopped via API.", func(*integration.Integration) bool { return true })
	if err != nil || !stopped || s.Quiesce == nil || !s.Quiesce(ctx, tenant, id, in.Generation) {
		return in, err
	}
	return s.quiesced(ctx, in), nil
}

// quiesced records that nothing can send for an integration any more, and returns its new
// state, or the given one if that fails: QuietAt stays as the stop set it.
func (s *Service) quiesced(ctx context.Context, in *integration.Integration) *integration.Integration {
	var err error
	quiet := *in
	if quiet.QuietAt, err = s.quietNow(ctx, in); err != nil {
		return in
	}
	if err := s.commit(ctx, store.PutIntegration{Integration: &quiet}); err != nil {
		return in
	}
	return &quiet
}

// quietNow returns the time after which no bucket can complete a request that was
// sent before a stop: now, unless the outcome of one is unknown.
func (s *Service) quietNow(ctx context.Context, in *integration.Integration) (time.Time, error) {
	lanes, err := s.lanes(ctx, in)
	if err != nil {
		return time.Time{}, err
	}
	return quietAt(lanes, s.now()), nil
}

// quietAt returns the given time, or the later one until which a bucket may
// complete a request whose outcome is unknown.
func quietAt(lanes []lane, at time.Time) time.Time {
	for _, l := range lanes {
		if until := l.cursor.FilesUntil(); until.After(at) {
			at = until
		}
	}
	return at
}

// StopFailing stops an integration whose receiver has failed for too long. It
// does nothing if the generation has changed or the integration is gone. The
// reason is a sentence for its log, which gets another one that says until when to start it.
// It calls Retire: Quiesce would wait for the caller.
func (s *Service) StopFailing(ctx context.Context, tenant, id string, generation uint64, reason string) error {
	in, stopped, err := s.stop(ctx, tenant, id, integration.StoppedAfterFailing, reason, func(in *integration.Integration) bool { return in.Generation == generation })
	if stopped && err == nil && s.Retire != nil && s.Retire(tenant, id, in.Generation) {
		s.quiesced(ctx, in)
	}
	if problem.CodeOf(err) == problem.NotFound {
		return nil
	}
	return err
}

// stopTimeout limits the Commit of a stop. Until it takes effect, actors read that the
// integration is running, and QuietAt must be known before.
const stopTimeout = 2 * time.Second

// stop reports whether this call stopped the integration. It does nothing if the
// integration is not running or the condition does not hold for it.
func (s *Service) stop(ctx context.Context, tenant, id string, cause integration.StopCause, reason string, condition func(*integration.Integration) bool) (in *integration.Integration, stopped bool, err error) {
	err = transact(id, func() error {
		in, stopped = nil, false
		t, current, err := s.read(ctx, tenant, id)
		if err != nil {
			return err
		}
		in = current
		if !in.Running || !condition(in) {
			return nil
		}
		if in.OldestWaiting, err = s.oldestWaiting(ctx, in); err != nil {
			return err
		}
		lanes, err := s.lanes(ctx, in)
		if err != nil {
			return err
		}
		now := s.now()
		t.Generation++
		in.Generation = t.Generation
		in.Running, in.StoppedAt, in.StoppedBy = false, now, cause
		in.QuietAt = quietAt(lanes, now.Add(stopTimeout+s.QuietAfter))
		note := entry(in, integration.ActionStopped, s.stopReason(in, reason), now)
		note.Alert = integration.AlertStopped
		writes := append(pause(lanes, in.Generation), store.PutTenant{Tenant: t}, store.PutIntegration{Integration: in}, note)
		stopped = true
		return store.CommitWithin(ctx, stopTimeout, s.Store, writes...)
	})
	if stopped {
		s.schedule(err, keysOf(in))
	}
	if err != nil {
		return nil, false, err
	}
	return in, stopped, nil
}
