package delivery

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sink"
)

// export is one step of an integration that reads the log from its own cursor
// and writes files.
type export struct {
	*step
	log reader
	err error // of the log or the store; it ends the step
}

// export writes what the log has after the cursor to files, one at a time, and
// saves the cursor after each.
func (s *step) export(ctx context.Context) (Next, error) {
	e := s.engine
	upload, cancel := context.WithCancel(ctx)
	defer cancel()
	soft, halt := context.WithCancel(s.ctx)
	defer halt()
	s.soft = soft
	read := func(after uint64) ([]eventlog.Segment, error) { return s.read(ctx, after) }
	x := &export{step: s, log: reader{
		read: read, filter: s.in.EventFilter(), offset: s.cursor.Offset,
		tally: s.cursor.Tally, counts: s.in.Type == integration.Temporary,
	}}
	end, ok := e.Registry.Begin(s.in.Tenant, s.in.ID, s.in.Generation, halt, cancel)
	if !ok {
		return again, nil // stopped meanwhile
	}
	defer end()
	for {
		if x.over() || x.yield() {
			return again, s.release(ctx, e.Now())
		}
		more, next, err := x.nextFile(ctx, upload)
		if err != nil || !more {
			return next, err
		}
	}
}

// over reports whether the step must end: it was halted, its context has ended,
// or its budget is used up.
func (x *export) over() bool {
	return x.soft.Err() != nil || !x.engine.Now().Before(x.ends)
}

// next returns the next event for a file; call log.advance to move past it. It
// returns nil at the end of the log, when the step is over, and when x.err is
// set. It calls renew before each read of the log, as a filter may drop
// everything in many of them.
func (x *export) next(ctx context.Context, renew func(context.Context) error) *event.Event {
	for x.err == nil {
		if ev := x.log.peek(); ev != nil {
			return ev
		}
		if x.over() {
			return nil
		}
		if x.err = renew(ctx); x.err != nil {
			return nil
		}
		more, err := x.log.fetch()
		if !errors.Is(err, errHalted) { // the step is over then
			x.err = err
		}
		if !more {
			return nil
		}
	}
	return nil
}

// keepLease renews the lease once half of it has passed.
func (x *export) keepLease(ctx context.Context) error {
	if !x.leaseHalfOver() {
		return nil
	}
	return x.lease(ctx, x.commit)
}

// saveSkipped saves that no event up to the log's offset goes into a file, once
// half of the lease has passed.
func (x *export) saveSkipped(ctx context.Context) error {
	if !x.leaseHalfOver() {
		return nil
	}
	to := x.log.offset
	if u := x.pendingUpload(); u != nil {
		moved := *u
		moved.From, x.cursor.Upload = to, &moved
	}
	return x.save(ctx, x.log.ackState())
}

// nextFile writes one file, if the log has an event for it, and reports whether
// another may follow at once. The export of the file has a context of its own, upload,
// which a stop ends.
func (x *export) nextFile(ctx, upload context.Context) (more bool, next Next, err error) {
	if x.next(ctx, x.saveSkipped) == nil {
		return x.noFile(ctx)
	}
	if x.log.trimmed {
		x.cursor.GiveUpUpload() // its events are gone: it cannot be written again
	}
	f := &exportFile{export: x, created: x.engine.Now(), pending: x.pendingUpload()}
	v := f.write(ctx, upload)
	switch {
	case f.confirmed && v.Outcome == sink.Delivered:
		return f.stored(ctx, v)
	case x.err != nil:
		return false, again, x.err
	case f.torn:
		x.cursor.GiveUpUpload()
		return false, again, x.release(ctx, x.engine.Now())
	}
	return f.notStored(ctx, v)
}

// noFile ends the step, or reads on if the log has grown.
func (x *export) noFile(ctx context.Context) (more bool, next Next, err error) {
	switch at := x.log.ackState(); {
	case x.err != nil:
		return false, again, x.err
	case x.over():
		x.cursor.AckState = at
		return false, again, x.release(ctx, x.engine.Now())
	default:
		x.cursor.GiveUpUpload() // its events are trimmed or damaged
		next, outcome, err := x.endOfLog(ctx, at)
		return outcome == readMore, next, err
	}
}

// waitUntil makes the cursor wait; events published meanwhile go into the next file.
func (s *step) waitUntil(ctx context.Context, until time.Time) (Next, error) {
	return Next{Wait: max(until.Sub(s.engine.Now()), 0)}, s.release(ctx, until)
}

// exportFile is one file being written.
type exportFile struct {
	*export
	created time.Time
	pending *handoff.Upload // an earlier file that this one resolves or replaces; nil for none
	size    int64           // in bytes
	events  int
	last    bool // it ends at the end of the log

	endCall   func()    // gives back the place of a call that it has instead of the step's; nil for none
	noPlace   bool      // the step ended while it waited for its place
	torn      bool      // an event of the earlier file can never be read again
	confirmed bool      // its last request may have been sent
	deadline  time.Time // when the bucket can no longer carry out that request
}

// write exports one file. It sets err if the log or the store failed.
func (f *exportFile) write(ctx, upload context.Context) sink.Verdict {
	e, in := f.engine, f.in
	if e.Observer != nil {
		e.Observer.AttemptStarted()
	}
	defer f.leaveCall()
	bodies := func(yield func([]byte) bool) { f.bodies(ctx, yield) }
	v := f.target.Exporter.Export(upload, sink.File{Created: f.created, Bodies: bodies, Pending: f.pending}, f.confirm)
	f.target.Record(v)
	ended := e.Now()
	v.Started, v.Took = f.created, ended.Sub(f.created)
	if e.Observer != nil {
		e.Observer.AttemptEnded(in, v, f.events, f.created, ended)
	}
	if v.Outcome == sink.Unsent {
		return v
	}
	e.Logger.LogAttrs(ctx, slog.LevelInfo, "export attempted", v.DetailAttr(),
		slog.String("tenant", in.Tenant), slog.String("integration", in.ID), slog.Int("lane", f.cursor.Key.Lane),
		slog.Int("events", f.events), slog.Int64("bytes", f.size), slog.Int("attempt", f.cursor.Failures+1),
		slog.String("outcome", v.Outcome.String()), slog.Int("status", v.Status), slog.String("reason", v.Reason),
		slog.Int64("took_ms", ended.Sub(f.created).Milliseconds()))
	return v
}

// bodies yields the events of the file: up to the end of the log, the maximum
// size, or the end of the file's interval. A file that replaces an earlier one
// gets the events of that one: if some can never be read any more, none, as the earlier
// file may appear and be whole.
func (f *exportFile) bodies(ctx context.Context, yield func([]byte) bool) {
	f.confirmed, f.deadline = false, time.Time{} // the earlier file is not there
	if f.noPlace = f.takePlace(f.soft) != nil; f.noPlace {
		return
	}
	for {
		ev := f.next(ctx, f.keepLease)
		if f.torn = f.pending != nil && f.hasDamage(f.pending); f.torn {
			return
		}
		if ev == nil {
			f.last = !f.over()
			return
		}
		line := int64(len(ev.Body)) + 1
		if f.full(line) {
			return
		}
		if f.err = f.keepLease(ctx); f.err != nil {
			return
		}
		f.size += line
		f.events++
		f.log.advance()
		if !yield(ev.Body) {
			return
		}
	}
}

// full reports whether the file ends before the next line.
func (f *exportFile) full(line int64) bool {
	if f.pending != nil {
		return !f.log.offset.Before(f.pending.To)
	}
	s := f.engine.Settings
	return f.size > 0 && (f.size+line > s.S3FileBytes || f.engine.Now().Sub(f.created) >= s.S3FileInterval)
}
