package delivery

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// export writes what the log has after the cursor to files, one after the
// other, and the cursor after each.
func (s *step) export() (Step, error) {
	e := s.engine
	ctx, cancel := context.WithCancel(s.hard)
	defer cancel()
	in := &reader{step: s, filter: s.in.EventFilter(), at: s.cursor.Offset}
	end, ok := e.Registry.Begin(s.in.Tenant, s.in.ID, s.in.Generation, func() { in.halted.Store(true) }, cancel)
	if !ok {
		return again, nil // stopped meanwhile
	}
	defer end()
	for {
		if in.over() {
			return again, s.release(e.Now())
		}
		more, next, err := s.nextFile(ctx, in)
		if err != nil || !more {
			return next, err
		}
	}
}

// nextFile writes one file, if the log has anything for it, and reports whether
// there may be more to write at once.
func (s *step) nextFile(ctx context.Context, in *reader) (more bool, next Step, err error) {
	e := s.engine
	if _, ok := in.next(); !ok {
		if in.err != nil {
			return false, again, in.err
		}
		if in.over() {
			s.cursor.AckState = handoff.AckState{Offset: in.at}
			return false, again, s.release(e.Now())
		}
		s.cursor.Upload = nil // its events are trimmed
		next, outcome, err := s.endOfLog(handoff.AckState{Offset: in.at})
		return outcome == readMore, next, err
	}
	if in.trimmed {
		s.cursor.Upload = nil // it cannot be written again as it was
	}
	f := &exportFile{step: s, in: in, created: e.Now(), earlier: s.unsettled()}
	in.file = f
	v := f.write(ctx)
	in.file = nil
	switch {
	case f.confirmed && v.Outcome == sink.Delivered:
		return f.stored()
	case in.err != nil:
		return false, again, in.err
	}
	return f.notStored(v)
}

// unsettled returns the file that has to be settled before a new one is written,
// nil if there is none. One that begins elsewhere, as after a position was
// moved, is forgotten.
func (s *step) unsettled() *handoff.Upload {
	if u := s.cursor.Upload; u != nil && u.From != s.cursor.Offset {
		s.cursor.Upload = nil
	}
	return s.cursor.Upload
}

// takeExportSlot waits until one more file may be written at a time.
func (e *Engine) takeExportSlot(ctx context.Context) error {
	if e.ExportSlots == nil {
		return nil
	}
	select {
	case e.ExportSlots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (e *Engine) giveExportSlot() {
	if e.ExportSlots != nil {
		<-e.ExportSlots
	}
}

// keepLease renews the lease when half of it is over.
func (s *step) keepLease() error {
	if !s.leaseHalfOver() {
		return nil
	}
	return s.lease(s.hard)
}

// skip saves that nothing up to the position is for a file.
func (s *step) skip(to handoff.Offset) error {
	if u := s.unsettled(); u != nil {
		moved := *u
		moved.From, s.cursor.Upload = to, &moved
	}
	return s.save(handoff.AckState{Offset: to})
}

// pause leaves what was published meanwhile for the next file.
func (s *step) pause(until time.Time) (Step, error) {
	return Step{Wait: max(until.Sub(s.engine.Now()), 0)}, s.release(until)
}

// exportFile is one file being written.
type exportFile struct {
	step    *step
	in      *reader
	created time.Time
	earlier *handoff.Upload // that this one settles, or is written in the place of
	size    int64
	events  int
	last    bool // it ends where the log does

	slot      bool // it holds a slot for a part in memory
	noSlot    bool // it got none in time
	confirmed bool // its last request may have been sent
	until     time.Time
}

// stored moves the cursor behind the file.
func (f *exportFile) stored() (more bool, next Step, err error) {
	s, u := f.step, f.step.cursor.Upload
	s.cursor.Upload = nil
	s.succeeded()
	err = s.save(handoff.AckState{Offset: u.To})
	if errors.Is(err, store.ErrConflict) {
		return false, Step{Lost: true}, s.engine.count(s.hard, s.cursor.Key, u, u.To)
	}
	if err != nil {
		return false, again, err
	}
	f.in.moveTo(u.To)
	if u.Next.IsZero() {
		return true, again, nil
	}
	if f.last {
		next, outcome, err := s.endOfLog(handoff.AckState{Offset: f.in.at})
		if err != nil || outcome != readMore {
			return false, next, err
		}
	}
	next, err = s.pause(u.Next)
	return false, next, err
}

// notStored writes what became of a file that is not known to be stored.
func (f *exportFile) notStored(v sink.Verdict) (more bool, next Step, err error) {
	s, now := f.step, f.step.engine.Now()
	var refused *handoff.Upload
	if !v.Unknown && !f.noSlot {
		refused, s.cursor.Upload = s.cursor.Upload, nil
	}
	switch {
	case f.noSlot, v.Outcome == sink.Interrupted:
		err = s.release(now)
	case v.Outcome == sink.Delivered:
		return true, again, nil // there was nothing to write
	default:
		next, err = s.failed(&worker.Failure{Verdict: v, At: now})
	}
	if refused != nil && errors.Is(err, store.ErrConflict) {
		return false, Step{Lost: true}, s.engine.count(s.hard, s.cursor.Key, refused, refused.From)
	}
	return false, next, err
}

// count makes the outcome of a file count although its cursor was changed
// meanwhile, as a stop does, unless it was moved to another place.
func (e *Engine) count(ctx context.Context, k handoff.Key, u *handoff.Upload, at handoff.Offset) error {
	return store.Transact(func() error {
		c, err := e.Store.Cursor(ctx, k)
		if err != nil {
			return err
		}
		if c.Upload == nil || c.Upload.Key != u.Key || c.Offset != u.From {
			return nil
		}
		if c.Upload = nil; at != u.From {
			c.AckState = handoff.AckState{Offset: at}
		}
		return e.Store.Commit(ctx, store.PutCursor{Cursor: c})
	})
}

// write exports one file. in.err is set where the log or the store failed.
func (f *exportFile) write(ctx context.Context) sink.Verdict {
	e, in := f.step.engine, f.step.in
	if e.Observer != nil {
		e.Observer.AttemptStarted()
	}
	defer f.giveSlot()
	v := f.step.target.Exporter.Export(ctx, sink.File{Created: f.created, Bodies: f.bodies, Again: f.earlier}, f.confirm)
	took := e.Now().Sub(f.created)
	if e.Observer != nil {
		e.Observer.AttemptEnded(in, v, f.events, took)
	}
	e.Logger.LogAttrs(ctx, slog.LevelInfo, "export attempted",
		slog.String("tenant", in.Tenant), slog.String("integration", in.ID), slog.Int("lane", f.step.cursor.Key.Lane),
		slog.Int("events", f.events), slog.Int64("bytes", f.size), slog.Int("attempt", f.step.cursor.Failures+1),
		slog.String("outcome", v.Outcome.String()), slog.Int("status", v.Status), slog.String("reason", v.Reason),
		slog.Int64("took_ms", took.Milliseconds()))
	return v
}

// bodies yields what goes into the file: until the end of the log, the largest
// size, or the file's time is over; in the place of an earlier one, what that
// one had.
func (f *exportFile) bodies(yield func([]byte) bool) {
	f.confirmed, f.until = false, time.Time{} // an earlier file was asked for in vain
	if f.noSlot = f.step.engine.takeExportSlot(f.step.ctx) != nil; f.noSlot {
		return
	}
	f.slot = true
	for {
		ev, ok := f.in.next()
		if !ok {
			f.last = !f.in.over()
			return
		}
		line := int64(len(ev.Body)) + 1
		if f.full(line) {
			return
		}
		if f.in.err = f.step.keepLease(); f.in.err != nil {
			return
		}
		f.size += line
		f.events++
		f.in.pass()
		if !yield(ev.Body) {
			return
		}
	}
}

// full reports whether the next line does not belong to the file.
func (f *exportFile) full(line int64) bool {
	if f.earlier != nil {
		return !f.in.at.Before(f.earlier.To)
	}
	e := f.step.engine
	return f.size > 0 && (f.size+line > e.Settings.S3FileBytes || e.Now().Sub(f.created) >= e.Settings.S3FileInterval)
}

// carriedOutWithin is how long a store may take for the last request of a file.
func carriedOutWithin(u handoff.Upload) time.Duration {
	if u.ID == "" {
		return sink.PartTimeout
	}
	return sink.UploadTimeout
}

func (f *exportFile) giveSlot() {
	if f.slot {
		f.slot = false
		f.step.engine.giveExportSlot()
	}
}

// confirm is called before the last request is sent, and while there is no
// answer: the file must still be ours to send. The cursor says from then on that
// it may be there.
func (f *exportFile) confirm(ctx context.Context, u handoff.Upload) error {
	if f.in.err != nil {
		return f.in.err
	}
	s := f.step
	if u.ID != "" {
		f.giveSlot() // the parts are uploaded; a slow store holds up its own files alone
	}
	if f.until.IsZero() {
		f.until = s.engine.Now().Add(carriedOutWithin(u))
	}
	u.From, u.To, u.Created, u.Until = s.cursor.Offset, f.in.at, f.created, f.until
	if f.last {
		u.Next = f.created.Add(s.engine.Settings.S3FileInterval)
	}
	if f.earlier != nil && f.events == 0 { // it is settled, not written
		u.To, u.Next, u.Created = f.earlier.To, f.earlier.Next, f.earlier.Created
	}
	s.cursor.Upload = &u
	f.in.err = s.lease(ctx)
	f.confirmed = f.confirmed || f.in.err == nil
	return f.in.err
}

// reader walks through the log event by event.
type reader struct {
	step   *step
	filter event.Filter
	at     handoff.Offset
	segs   []eventlog.Segment // in hand, the first one holds at
	file   *exportFile        // that is being written, nil for none
	halted atomic.Bool        // by a stop
	err    error

	trimmed bool // what it stood at is no longer in the log
}

// over reports whether no more is to be read in this step.
func (r *reader) over() bool {
	s := r.step
	return r.halted.Load() || s.ctx.Err() != nil || !s.engine.Now().Before(s.ends)
}

// breathe is called between two reads of a log that may be long: it ends the
// step when it is over, and keeps the lease and what was passed in vain.
func (r *reader) breathe() bool {
	if r.over() {
		return false
	}
	if r.file != nil {
		r.err = r.step.keepLease()
	} else if r.step.leaseHalfOver() {
		r.err = r.step.skip(r.at)
	}
	return r.err == nil
}

// next returns the next event that passes the filter. It returns false at the
// end of the log, and where err is set.
func (r *reader) next() (*event.Event, bool) {
	for r.err == nil {
		if len(r.segs) == 0 {
			if !r.breathe() {
				return nil, false
			}
			r.segs, r.err = r.step.read(r.at.Segment)
			if len(r.segs) == 0 {
				return nil, false
			}
			if r.segs[0].Number != r.at.Segment+1 { // trimmed in between
				r.at, r.trimmed = handoff.Offset{Segment: r.segs[0].Number - 1}, true
			}
		}
		seg := &r.segs[0]
		for ; r.at.Index < len(seg.Events); r.at.Index++ {
			if ev := &seg.Events[r.at.Index]; r.filter.Pass(ev) {
				return ev, true
			}
		}
		r.at = handoff.Offset{Segment: seg.Number}
		r.segs = r.segs[1:]
	}
	return nil, false
}

// moveTo goes on behind a file that was settled and not read again.
func (r *reader) moveTo(at handoff.Offset) {
	if r.at.Before(at) {
		r.at, r.segs = at, nil
	}
}

// pass moves on behind the event that next returned.
func (r *reader) pass() { r.at.Index++ }
