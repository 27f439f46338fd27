package delivery

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
)

// export writes what the log has after the cursor to files, one after the
// other, and the cursor after each.
func (s *step) export() (Step, error) {
	e := s.engine
	ctx, cancel := context.WithCancel(s.hard)
	defer cancel()
	in := &reader{step: s, filter: s.in.EventFilter(), at: s.cursor.Position}
	end, ok := e.activities.begin(s.in.Tenant, s.in.ID, s.in.Generation, func() { in.halted.Store(true) }, cancel)
	if !ok {
		return again, nil // stopped meanwhile
	}
	defer end()
	for {
		if in.over() {
			return again, s.release(e.Now())
		}
		if _, ok := in.next(); !ok {
			if in.err != nil {
				return again, in.err
			}
			if in.over() {
				s.cursor.Progress = handoff.Progress{Position: in.at}
				return again, s.release(e.Now())
			}
			next, more, err := s.endOfLog(handoff.Progress{Position: in.at})
			if err != nil || !more {
				return next, err
			}
			continue
		}
		if err := e.takeExportSlot(s.ctx); err != nil {
			return again, s.release(e.Now())
		}
		f := &exportFile{step: s, in: in, created: e.Now()}
		in.file = f
		verdict := f.write(ctx)
		in.file = nil
		e.giveExportSlot()
		switch {
		case in.err != nil:
			return again, in.err
		case verdict.Outcome == Interrupted:
			return again, s.release(e.Now())
		case verdict.Outcome != Delivered:
			return s.failed(&failure{verdict: verdict, at: e.Now()})
		}
		s.succeeded()
		if err := s.save(handoff.Progress{Position: in.at}); err != nil {
			return again, err
		}
		if f.last {
			next, more, err := s.endOfLog(handoff.Progress{Position: in.at})
			if err != nil || !more {
				return next, err
			}
			return s.pause(f.created.Add(e.Settings.S3FileInterval))
		}
	}
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
	return s.lease()
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
	size    int64
	events  int
	last    bool // it ends where the log does
}

// write exports one file. in.err is set where the log or the store failed.
func (f *exportFile) write(ctx context.Context) Verdict {
	e, in := f.step.engine, f.step.in
	if e.Observer != nil {
		e.Observer.AttemptStarted()
	}
	v := f.step.target.exporter.Export(ctx, f.created, f.bodies, f.confirm)
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
// size, or the file's time is over.
func (f *exportFile) bodies(yield func([]byte) bool) {
	e := f.step.engine
	for {
		ev, ok := f.in.next()
		if !ok {
			f.last = !f.in.over()
			return
		}
		line := int64(len(ev.Body)) + 1
		if f.size > 0 && (f.size+line > e.Settings.S3FileBytes || e.Now().Sub(f.created) >= e.Settings.S3FileInterval) {
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

// confirm is called before the file can be seen: it must still be ours to send.
func (f *exportFile) confirm(context.Context) error {
	if f.in.err == nil {
		f.in.err = f.step.lease()
	}
	return f.in.err
}

// reader walks through the log event by event.
type reader struct {
	step   *step
	filter event.Filter
	at     handoff.Position
	segs   []eventlog.Segment // in hand, the first one holds at
	file   *exportFile        // that is being written, nil for none
	halted atomic.Bool        // by a stop
	err    error
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
		r.err = r.step.save(handoff.Progress{Position: r.at})
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
				r.at = handoff.Position{Segment: r.segs[0].Number - 1}
			}
		}
		seg := &r.segs[0]
		for ; r.at.Index < len(seg.Events); r.at.Index++ {
			if ev := &seg.Events[r.at.Index]; r.filter.Pass(ev) {
				return ev, true
			}
		}
		r.at = handoff.Position{Segment: seg.Number}
		r.segs = r.segs[1:]
	}
	return nil, false
}

// pass moves on behind the event that next returned.
func (r *reader) pass() { r.at.Index++ }
