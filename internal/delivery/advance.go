package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// Step says when a cursor is to be driven next.
type Step struct {
	Done bool          // not by this driver
	Wait time.Duration // else after this long, 0 for at once
	Lost bool          // somebody else has moved the cursor on
}

var (
	done  = Step{Done: true}
	again = Step{}
)

// Advance takes the integration on from its cursor, if it is due: it sends what
// the log has, up to a time budget, and at the end of the log hands over to the
// follow loop. It returns an error where the store, the log or the secrets
// failed; the cursor is then due again when its lease ends, and calling again
// is always right.
func (e *Engine) Advance(ctx context.Context, k handoff.Key) (Step, error) {
	c, err := e.Store.Cursor(ctx, k)
	if problem.CodeOf(err) == problem.NotFound {
		return done, nil
	}
	if err != nil {
		return again, err
	}
	if c.DueAt.IsZero() {
		return done, nil // stopped, finished, or following without an end
	}
	if wait := e.wait(c); wait > 0 {
		return Step{Wait: wait}, nil
	}
	in, err := e.Store.Integration(ctx, k.Tenant, k.Integration)
	if problem.CodeOf(err) == problem.NotFound {
		return done, nil
	}
	if err != nil {
		return again, err
	}
	if in.Generation != c.Generation {
		return Step{Wait: time.Second}, nil // changed between the two reads
	}
	hard, cancel := e.afterwards(ctx)
	defer cancel()
	s := &step{engine: e, ctx: ctx, hard: hard, in: in, cursor: c, ends: e.Now().Add(e.stepBudget())}
	if err := s.lease(s.hard); err != nil {
		return stepAfter(err)
	}
	next, err := s.run()
	if err != nil {
		return stepAfter(err)
	}
	return next, nil
}

// wait is how long a cursor is to be left alone. No lease, back-off or rhythm is
// longer than longestWait: what is further ahead was written before the clock
// was set back.
func (e *Engine) wait(c *handoff.Cursor) time.Duration {
	wait := c.DueAt.Sub(e.Now())
	longestWait := max(QuietAfter(e.Settings), e.Settings.RetryMax, maxRetryAfter, e.Settings.S3FileInterval) + time.Minute
	if c.State == handoff.Scheduled && wait > longestWait {
		return 0
	}
	return wait
}

// maxRetryAfter is the longest Verdict.RetryAfter.
const maxRetryAfter = time.Hour

// stepAfter turns a conflict, which means that somebody else moved the cursor
// on, into a fresh look at it.
func stepAfter(err error) (Step, error) {
	switch {
	case errors.Is(err, store.ErrConflict):
		return Step{Lost: true}, nil
	case problem.CodeOf(err) == problem.NotFound:
		return done, nil // it was deleted meanwhile
	}
	return again, err
}

// step is one Advance that holds the cursor's lease.
type step struct {
	engine *Engine
	ctx    context.Context // nothing new is begun when it ends
	hard   context.Context // what is under way ends with it
	in     *integration.Integration
	target *worker.Target
	cursor *handoff.Cursor
	until  time.Time // calls may be started until then
	ends   time.Time // the step's budget

	bounded   bool   // a replay whose bound is known
	bound     uint64 // the last segment it has to read
	complete  bool   // there is nothing left to read up to the bound
	watermark uint64 // what the partition had delivered when it was too much to join
}

// lease makes the cursor ours until the last call that we may start has ended.
func (s *step) lease(ctx context.Context) error {
	c := *s.cursor
	now := s.engine.Now()
	c.DueAt = now.Add(QuietAfter(s.engine.Settings))
	if s.in.S3 != nil {
		c.DueAt = c.DueAt.Add(sink.PartTimeout)
	}
	writes := []store.Write{store.PutCursor{Cursor: &c}}
	if c.State == handoff.Live {
		r, err := s.engine.Store.Partition(ctx, c.Key.Partition())
		if err != nil {
			return err
		}
		f := r.Find(c.Key.Integration)
		if f == nil {
			return store.ErrConflict // it left between the two reads
		}
		handoff.Leave(r, &c, handoff.AckState{Offset: handoff.Offset{Segment: r.AckedBy(f)}}, c.DueAt)
		c.LeftAt = now
		writes = append(writes, store.PutPartition{State: r})
	}
	if err := s.commit(ctx, writes...); err != nil {
		return err
	}
	s.cursor, s.until = &c, now.Add(s.engine.Settings.FollowBudget)
	return nil
}

// release writes the cursor with the time at which it is due next.
func (s *step) release(dueAt time.Time, more ...store.Write) error {
	s.cursor.DueAt = dueAt
	return s.commit(s.hard, append(more, store.PutCursor{Cursor: s.cursor})...)
}

// commit writes what the step knows, as a last write if the step is to end: its
// context may be over already when a long file or call has just ended.
func (s *step) commit(ctx context.Context, writes ...store.Write) error {
	write := func(ctx context.Context) error { return s.engine.Store.Commit(ctx, writes...) }
	if s.ctx.Err() != nil {
		return s.engine.lastWrite(ctx, write)
	}
	return write(ctx)
}

func (s *step) run() (Step, error) {
	t, err := s.engine.Registry.Target(s.hard, s.in)
	if err != nil {
		return s.unopened(err)
	}
	s.target = t
	if err := s.bounds(); err != nil {
		return again, err
	}
	if t.Exporter != nil {
		return s.export()
	}
	return s.catchUp()
}

// unopened treats a sink that cannot be opened as a failure of that integration
// alone.
func (s *step) unopened(err error) (Step, error) {
	if problem.CodeOf(err) == problem.Unavailable {
		return again, err
	}
	return s.failed(unopened(err, s.engine.Now()))
}

// bounds finds how far a replay has to read.
func (s *step) bounds() error {
	if s.in.Type != integration.Temporary {
		return nil
	}
	var err error
	s.bound, s.bounded, err = s.engine.Log.OffsetForTime(s.hard, s.cursor.Key.Partition(), s.in.EndsAt)
	return err
}

// atBound reports whether a replay has everything it is to have.
func (s *step) atBound(at handoff.Offset) bool {
	return s.bounded && (s.complete || at.Segment >= s.bound)
}

// failed makes the cursor wait, or stops an integration that fails for too long.
func (s *step) failed(f *worker.Failure) (Step, error) {
	e := s.engine
	entry := e.backOff(s.in, s.cursor, f)
	stopped, err := e.gaveUp(s.hard, s.in, s.cursor, f)
	if err != nil {
		return again, err
	}
	if stopped {
		return done, nil
	}
	if err := s.release(s.cursor.DueAt, entry); err != nil {
		return again, err
	}
	return Step{Wait: s.cursor.DueAt.Sub(e.Now())}, nil
}

// succeeded forgets earlier failures.
func (s *step) succeeded() { s.cursor.Failures, s.cursor.FailingSince = 0, time.Time{} }

// read returns the next segments, cut at a replay's bound. Where the log was
// trimmed beyond the position, the integration's log says so.
func (s *step) read(after uint64) ([]eventlog.Segment, error) {
	segs, err := s.engine.Log.Read(s.hard, s.cursor.Key.Partition(), after, s.engine.batchBytes())
	if err != nil {
		return nil, err
	}
	s.complete = len(segs) == 0 || segs[0].Number > s.bound // the rest, if there was one, is trimmed
	if len(segs) == 0 {
		return nil, nil
	}
	if segs[0].Number != after+1 {
		if err := s.engine.skipped(s.hard, s.in); err != nil {
			return nil, err
		}
	}
	if s.bounded {
		for i := range segs {
			if segs[i].Number > s.bound {
				return segs[:i], nil
			}
		}
	}
	return segs, nil
}

// skipped says in the integration's log that events are past the retention.
func (e *Engine) skipped(ctx context.Context, in *integration.Integration) error {
	return e.Store.Commit(ctx, store.AddEntry{History: store.HistoryOf(in), Entry: integration.LogEntry{
		Action: integration.ActionEventsSkipped, CreatedAt: e.Now(),
		Reason: fmt.Sprintf("Events older than %s were not delivered in time and are no longer kept.", integration.Span(e.Settings.Retention)),
	}})
}

// Reclaim ends the lease of a driver that is known to be gone, as those of an
// earlier process are where there can only be one. A cursor that waits for
// another reason is left alone.
func (e *Engine) Reclaim(ctx context.Context, k handoff.Key) error {
	c, err := e.Store.Cursor(ctx, k)
	if problem.CodeOf(err) == problem.NotFound {
		return nil
	}
	now := e.Now()
	if err != nil || c.State != handoff.Scheduled || c.Failures > 0 || !c.DueAt.After(now) || c.DueAt.After(now.Add(QuietAfter(e.Settings)+sink.PartTimeout)) {
		return err
	}
	c.DueAt = now
	if err := e.Store.Commit(ctx, store.PutCursor{Cursor: c}); !errors.Is(err, store.ErrConflict) {
		return err
	}
	return nil
}
