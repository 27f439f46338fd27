package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/internal/backoff"
	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// Next says when to call Advance for a cursor again.
type Next struct {
	Done bool          // nothing is left to do
	Wait time.Duration // otherwise after this long, 0 for at once
	Lost bool          // another actor has changed the cursor
	Kind Kind          // of the next step, as far as is known
}

var (
	done  = Next{Done: true}
	again = Next{} // at once
)

// Advance delivers events from the integration's own cursor, if the cursor is due.
// It runs until its time budget is used up or it reaches the end of the log, where
// it hands over to live delivery. It returns an error if the store, the log or the
// secrets fail; the cursor is then due again when its lease ends, or at once if it
// needs none. Calling it again is always safe.
func (e *Engine) Advance(ctx context.Context, k handoff.Key) (Next, error) {
	return e.AdvanceIn(ctx, k, nil)
}

// AdvanceIn is Advance for a process that bounds the steps of each kind. If the step
// is of another kind than its place it does nothing, and returns the right one. A nil
// place has no bound.
func (e *Engine) AdvanceIn(ctx context.Context, k handoff.Key, p *Place) (Next, error) {
	if !e.SoleOwner.hold(k) {
		return Next{Wait: heldWait}, nil
	}
	defer e.SoleOwner.letGo(k)
	readAt := e.Now()
	c, err := e.Store.Cursor(ctx, k)
	if problem.CodeOf(err) == problem.NotFound {
		e.SoleOwner.forget(k)
		return done, nil
	}
	if err != nil {
		return again, err
	}
	c = e.SoleOwner.restore(c)
	if c.DueAt.IsZero() {
		return done, nil // stopped, finished, or live with no end
	}
	if wait := e.wait(c); wait > 0 {
		e.SoleOwner.found(c)
		return Next{Wait: wait, Kind: kindOf(nil, c)}, nil
	}
	in, err := e.integrationOf(ctx, c)
	if problem.CodeOf(err) == problem.NotFound {
		return done, nil
	}
	if err != nil {
		return again, err
	}
	if in.Generation != c.Generation {
		return Next{Wait: time.Second}, nil // changed between the two reads
	}
	if kind := kindOf(in, c); p != nil && p.kind != kind {
		return Next{Kind: kind}, nil
	}
	graceful, cancel := e.withGrace(ctx)
	defer cancel()
	now := e.Now()
	s := &step{engine: e, ctx: ctx, in: in, cursor: c, last: *c, leftBy: now, place: p, yields: now.Add(yieldAfter), ends: now.Add(e.stepBudget())}
	if err := s.begin(graceful, readAt); err != nil {
		return nextAfter(err)
	}
	next, err := s.run(graceful)
	if err != nil {
		return nextAfter(err)
	}
	if !s.remembered {
		e.SoleOwner.forget(k)
	}
	next.Kind = kindOf(in, s.cursor)
	return next, nil
}

// heldWait is how long an Advance waits for another one, or for a save, of its cursor.
const heldWait = 20 * time.Millisecond

// integrationOf returns the integration of a cursor. It does not read one whose sink is
// open: in a generation it does not change.
func (e *Engine) integrationOf(ctx context.Context, c *handoff.Cursor) (*integration.Integration, error) {
	if in := e.Registry.Integration(c.Key.Tenant, c.Key.Integration, c.Generation); in != nil {
		return in, nil
	}
	return e.Store.Integration(ctx, c.Key.Tenant, c.Key.Integration)
}

// wait returns how long until the cursor is due. No lease, back-off or export
// interval is longer than longestWait: a later DueAt was written before the clock
// was set back, and is ignored.
func (e *Engine) wait(c *handoff.Cursor) time.Duration {
	if e.SoleOwner.orphaned(c, QuietAfter(e.Settings)) {
		return 0
	}
	wait := c.DueAt.Sub(e.Now())
	longestWait := max(QuietAfter(e.Settings), e.Settings.RetryMax, maxRetryAfter, e.Settings.S3FileInterval) + time.Minute
	if c.State == handoff.Scheduled && wait > longestWait {
		return 0
	}
	return wait
}

// maxRetryAfter is the longest Verdict.RetryAfter.
const maxRetryAfter = time.Hour

// nextAfter turns a conflict, which means that another actor has changed the
// cursor, into Lost.
func nextAfter(err error) (Next, error) {
	switch {
	case errors.Is(err, store.ErrConflict):
		return Next{Lost: true}, nil
	case problem.CodeOf(err) == problem.NotFound:
		return done, nil // deleted meanwhile
	}
	return again, err
}

// step is one Advance that holds the cursor's lease, or whose process owns it. Its methods get a context that
// outlives the step's by Engine.Grace.
type step struct {
	engine  *Engine
	ctx     context.Context // starts nothing new once it ends: a signal beside the methods' ctx, which goes on
	in      *integration.Integration
	target  *worker.Target
	cursor  *handoff.Cursor
	last    handoff.Cursor     // as it was read or last saved
	leftBy  time.Time          // a time at which the cursor was no longer in the live set
	notes   []store.Write      // log entries for the next commit
	sent    []deliveries.Part  // for the delivery record of the next commit
	damaged []eventlog.Segment // those that were read, and that the cursor has not passed
	until   time.Time          // no call is started from then on
	ends    time.Time          // when the step's budget is used up
	place   *Place             // nil if steps are not bounded
	yields  time.Time          // when it ends if others wait for its place
	soft    context.Context    // ctx, which a stop of the integration ends too; a signal like that one

	remembered bool // the SoleOwner has its failed attempt

	bounded   bool   // it is a replay whose bound is final
	bound     uint64 // the last segment it must read
	exhausted bool   // nothing is left to read up to the bound
	watermark uint64 // the partition's low watermark, if it was too high to join
}

func (s *step) run(ctx context.Context) (Next, error) {
	t, err := s.engine.Registry.Target(ctx, s.in)
	if err != nil {
		return s.unopened(ctx, err)
	}
	defer t.Release()
	s.target = t
	if err := s.bounds(ctx); err != nil {
		return again, err
	}
	if t.Exporter != nil {
		return s.export(ctx)
	}
	return s.catchUp(ctx)
}

// unopened treats a sink that cannot be opened as a failure of the receiver.
func (s *step) unopened(ctx context.Context, err error) (Next, error) {
	if problem.CodeOf(err) == problem.Unavailable {
		return again, err
	}
	end, ok := s.engine.Registry.Begin(s.in.Tenant, s.in.ID, s.in.Generation, func() {}, func() {})
	if !ok {
		return again, nil // stopped meanwhile
	}
	defer end() // Lifecycle.StopFailing counts on its caller being one that has begun
	return s.failed(ctx, unopened(err, s.engine.Now()))
}

// bounds finds how far a replay must read.
func (s *step) bounds(ctx context.Context) error {
	if s.in.Type != integration.Temporary {
		return nil
	}
	var err error
	s.bound, s.bounded, err = s.engine.Log.OffsetForTime(ctx, s.cursor.Key.Partition(), s.in.EndsAt)
	return err
}

// atBound reports whether a replay is complete.
func (s *step) atBound(at handoff.Offset) bool {
	return s.bounded && (s.exhausted || at.Segment >= s.bound)
}

// failed makes the cursor back off, or stops an integration that has failed for too
// long.
func (s *step) failed(ctx context.Context, f *worker.Failure) (Next, error) {
	e := s.engine
	entries := e.backOff(s.in, s.cursor, f)
	stopped, err := s.stopIfFailing(ctx, f)
	if err != nil {
		return again, err
	}
	if stopped {
		return done, nil
	}
	s.noteSkipped()
	if s.remembered = s.mayRemember(); s.remembered {
		e.SoleOwner.remember(s.cursor, entries)
		return Next{Wait: s.cursor.DueAt.Sub(e.Now())}, nil
	}
	s.notes = append(s.notes, writesOf(entries)...)
	if err := s.release(ctx, s.cursor.DueAt); err != nil {
		return again, err
	}
	return Next{Wait: s.cursor.DueAt.Sub(e.Now())}, nil
}

// mayRemember reports whether a failed attempt need not be saved at once: nothing was
// acknowledged, no file's outcome has become known, and there is nothing else to say in
// the integration's log.
func (s *step) mayRemember() bool {
	c, last := s.cursor, &s.last
	return s.engine.SoleOwner != nil && c.Offset == last.Offset && c.Beyond() == last.Beyond() &&
		c.Upload == last.Upload && len(s.notes) == 0 && len(s.sent) == 0
}

// succeeded ends an outage. The next commit says so in the integration's log.
func (s *step) succeeded(at time.Time) {
	s.notes = append(s.notes, writesOf(recovered(s.in, s.cursor, at))...)
}

// read returns the next segments, up to a replay's bound. If some were trimmed, it
// says so in the integration's log.
func (s *step) read(ctx context.Context, after uint64) ([]eventlog.Segment, error) {
	segs, err := s.readLog(ctx, after)
	if err != nil {
		return nil, err
	}
	first := !s.exhausted
	s.exhausted = len(segs) == 0 || segs[0].Number > s.bound // the rest, if any, was trimmed
	if len(segs) == 0 {
		if first && s.bounded && after < s.bound {
			s.noteTrimmed()
		}
		return nil, nil
	}
	if segs[0].Number != after+1 {
		s.noteTrimmed()
	}
	if s.bounded {
		for i := range segs {
			if segs[i].Number > s.bound {
				segs = segs[:i]
				break
			}
		}
	}
	s.foundDamaged(segs)
	s.noteLag(segs)
	return segs, nil
}

// errHalted means that the step must end: it was stopped, or its context has ended, while
// it waited to read.
var errHalted = errors.New("the step was halted")

// readLog reads the log once it is the tenant's turn, or returns errHalted. The turn lasts
// for as long again as the read took, so that steps never take more than half of the
// processors from publishing and live delivery.
func (s *step) readLog(ctx context.Context, after uint64) ([]eventlog.Segment, error) {
	e, p := s.engine, s.cursor.Key.Partition()
	if e.Reads == nil {
		return e.Log.Read(ctx, p, after, s.batchBytes())
	}
	if e.Reads.Acquire(s.soft, p.Tenant) != nil {
		return nil, errHalted
	}
	defer e.Reads.Give(p.Tenant)
	began := e.Now()
	segs, err := e.Log.Read(ctx, p, after, s.batchBytes())
	_ = backoff.Wait(s.soft, e.Now().Sub(began))
	return segs, err
}

// probeBytes is the size of a read for a receiver that failed: until it responds, one
// event is enough.
const probeBytes = 4 << 10

func (s *step) batchBytes() int {
	if s.cursor.Failures > 0 {
		return min(probeBytes, s.engine.batchBytes())
	}
	return s.engine.batchBytes()
}

// noteTrimmed has the commit that moves the cursor past events that were trimmed before they
// were delivered say so in the integration's log.
func (s *step) noteTrimmed() {
	s.cursor.Skipped = true
	s.notes = append(s.notes, s.engine.skipped(s.in))
}

// logTrimmedLive is noteTrimmed for an integration that is live, whose cursor does not move.
func (e *Engine) logTrimmedLive(ctx context.Context, in *integration.Integration, lane int) error {
	return store.Transact(func() error {
		writes := []store.Write{e.skipped(in)}
		c, err := e.Store.Cursor(ctx, handoff.Key{Tenant: in.Tenant, Integration: in.ID, Lane: lane})
		switch {
		case problem.CodeOf(err) == problem.NotFound: // deleted meanwhile
		case err != nil:
			return err
		case !c.Skipped:
			c.Skipped = true
			writes = append(writes, store.PutCursor{Cursor: c, KeepDue: true})
		}
		return e.Store.Commit(ctx, writes...)
	})
}

func (e *Engine) skipped(in *integration.Integration) store.AddEntry {
	return store.AddEntry{History: store.HistoryOf(in), Alert: integration.AlertEventsSkipped, Entry: integration.LogEntry{
		Action: integration.ActionEventsSkipped, CreatedAt: e.Now(),
		Reason: fmt.Sprintf("Events older than %s were skipped: they are no longer stored.", integration.Span(e.Settings.Retention)),
	}}
}
