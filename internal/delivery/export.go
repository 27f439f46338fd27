package delivery

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// export is one step of an integration that reads the log from its own cursor
// and writes files.
type export struct {
	*step
	log  reader
	soft context.Context // starts nothing new once a stop or the step's context ends it
	err  error           // of the log or the store; it ends the step
}

// export writes what the log has after the cursor to files, one at a time, and
// saves the cursor after each.
func (s *step) export() (Next, error) {
	e := s.engine
	ctx, cancel := context.WithCancel(s.graceful)
	defer cancel()
	soft, halt := context.WithCancel(s.ctx)
	defer halt()
	x := &export{step: s, soft: soft, log: reader{read: s.read, filter: s.in.EventFilter(), offset: s.cursor.Offset}}
	end, ok := e.Registry.Begin(s.in.Tenant, s.in.ID, s.in.Generation, halt, cancel)
	if !ok {
		return again, nil // stopped meanwhile
	}
	defer end()
	for {
		if x.over() {
			return again, s.release(e.Now())
		}
		more, next, err := x.nextFile(ctx)
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
func (x *export) next(renew func() error) *event.Event {
	for x.err == nil {
		if ev := x.log.peek(); ev != nil {
			return ev
		}
		if x.over() {
			return nil
		}
		if x.err = renew(); x.err != nil {
			return nil
		}
		var more bool
		if more, x.err = x.log.fetch(); !more {
			return nil
		}
	}
	return nil
}

// keepLease renews the lease once half of it has passed.
func (x *export) keepLease() error {
	if !x.leaseHalfOver() {
		return nil
	}
	return x.lease(x.graceful)
}

// saveSkipped saves that no event up to the log's offset goes into a file, once
// half of the lease has passed.
func (x *export) saveSkipped() error {
	if !x.leaseHalfOver() {
		return nil
	}
	to := x.log.offset
	if u := x.pendingUpload(); u != nil {
		moved := *u
		moved.From, x.cursor.Upload = to, &moved
	}
	return x.save(handoff.AckState{Offset: to})
}

// nextFile writes one file, if the log has an event for it, and reports whether
// another may follow at once.
func (x *export) nextFile(ctx context.Context) (more bool, next Next, err error) {
	if x.next(x.saveSkipped) == nil {
		return x.noFile()
	}
	if x.log.trimmed {
		x.cursor.Upload = nil // its events are gone: it cannot be written again
	}
	f := &exportFile{export: x, created: x.engine.Now(), pending: x.pendingUpload()}
	v := f.write(ctx)
	switch {
	case f.confirmed && v.Outcome == sink.Delivered:
		return f.stored()
	case x.err != nil:
		return false, again, x.err
	}
	return f.notStored(v)
}

// noFile ends the step, or reads on if the log has grown.
func (x *export) noFile() (more bool, next Next, err error) {
	switch at := (handoff.AckState{Offset: x.log.offset}); {
	case x.err != nil:
		return false, again, x.err
	case x.over():
		x.cursor.AckState = at
		return false, again, x.release(x.engine.Now())
	default:
		x.cursor.Upload = nil // its events are trimmed
		next, outcome, err := x.endOfLog(at)
		return outcome == readMore, next, err
	}
}

// pendingUpload returns the file whose outcome is unknown: it must be looked up or
// written again before a new one is started. It is nil if there is none. One that
// starts at another offset, as after the cursor was moved, is forgotten.
func (s *step) pendingUpload() *handoff.Upload {
	if u := s.cursor.Upload; u != nil && u.From != s.cursor.Offset {
		s.cursor.Upload = nil
	}
	return s.cursor.Upload
}

// waitUntil ends the step and makes the cursor due at the given time; events published meanwhile go into the next file.
func (s *step) waitUntil(at time.Time) (Next, error) {
	return Next{Wait: max(at.Sub(s.engine.Now()), 0)}, s.release(at)
}

// takeExportSlot waits until another file may be written.
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

// exportFile is one file being written.
type exportFile struct {
	*export
	created time.Time
	pending *handoff.Upload // an earlier file that this one resolves or replaces; nil for none
	size    int64           // in bytes
	events  int
	last    bool // it ends at the end of the log

	hasSlot   bool      // it holds one of Engine.ExportSlots
	noSlot    bool      // the step ended while it waited for one
	confirmed bool      // its last request may have been sent
	deadline  time.Time // when the bucket can no longer carry out that request
}

// write exports one file. It sets err if the log or the store failed.
func (f *exportFile) write(ctx context.Context) sink.Verdict {
	e, in := f.engine, f.in
	if e.Observer != nil {
		e.Observer.AttemptStarted()
	}
	defer f.giveSlot()
	v := f.target.Exporter.Export(ctx, sink.File{Created: f.created, Bodies: f.bodies, Pending: f.pending}, f.confirm)
	took := e.Now().Sub(f.created)
	if e.Observer != nil {
		e.Observer.AttemptEnded(in, v, f.events, took)
	}
	e.Logger.LogAttrs(ctx, slog.LevelInfo, "export attempted",
		slog.String("tenant", in.Tenant), slog.String("integration", in.ID), slog.Int("lane", f.cursor.Key.Lane),
		slog.Int("events", f.events), slog.Int64("bytes", f.size), slog.Int("attempt", f.cursor.Failures+1),
		slog.String("outcome", v.Outcome.String()), slog.Int("status", v.Status), slog.String("reason", v.Reason),
		slog.Int64("took_ms", took.Milliseconds()))
	return v
}

// bodies yields the events of the file: up to the end of the log, the maximum
// size, or the end of the file's interval. A file that replaces an earlier one
// gets the events of that one.
func (f *exportFile) bodies(yield func([]byte) bool) {
	f.confirmed, f.deadline = false, time.Time{} // the earlier file is not there
	if f.noSlot = f.engine.takeExportSlot(f.soft) != nil; f.noSlot {
		return
	}
	f.hasSlot = true
	for {
		ev := f.next(f.keepLease)
		if ev == nil {
			f.last = !f.over()
			return
		}
		line := int64(len(ev.Body)) + 1
		if f.full(line) {
			return
		}
		if f.err = f.keepLease(); f.err != nil {
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

// confirm is called before the last request is sent, and repeatedly while it has
// no response. It renews the lease, so that no other actor writes the file, and
// saves in the cursor that the file may exist from now on.
func (f *exportFile) confirm(ctx context.Context, u handoff.Upload) error {
	if f.err != nil {
		return f.err
	}
	if u.ID != "" {
		f.giveSlot() // the parts are uploaded; a slow bucket blocks only its own files
	}
	if f.deadline.IsZero() {
		f.deadline = f.engine.Now().Add(requestTimeout(u))
	}
	u.From, u.To, u.Created, u.Until = f.cursor.Offset, f.log.offset, f.created, f.deadline
	if f.last {
		u.Next = f.created.Add(f.engine.Settings.S3FileInterval)
	}
	if f.pending != nil && f.events == 0 { // looked up, not written again
		u.To, u.Next, u.Created = f.pending.To, f.pending.Next, f.pending.Created
	}
	f.cursor.Upload = &u
	f.err = f.lease(ctx)
	f.confirmed = f.confirmed || f.err == nil
	return f.err
}

// requestTimeout is how long a bucket may take to carry out a file's last request.
func requestTimeout(u handoff.Upload) time.Duration {
	if u.ID == "" {
		return sink.PartTimeout
	}
	return sink.UploadTimeout
}

func (f *exportFile) giveSlot() {
	if f.hasSlot {
		f.hasSlot = false
		f.engine.giveExportSlot()
	}
}

// stored moves the cursor past the file.
func (f *exportFile) stored() (more bool, next Next, err error) {
	u := f.cursor.Upload
	f.cursor.Upload = nil
	f.succeeded()
	err = f.save(handoff.AckState{Offset: u.To})
	if errors.Is(err, store.ErrConflict) {
		return false, Next{Lost: true}, f.engine.resolve(f.graceful, f.cursor.Key, u, u.To)
	}
	if err != nil {
		return false, again, err
	}
	f.log.seek(u.To)
	if u.Next.IsZero() {
		return true, again, nil
	}
	if f.last {
		next, outcome, err := f.endOfLog(handoff.AckState{Offset: f.log.offset})
		if err != nil || outcome != readMore {
			return false, next, err
		}
	}
	next, err = f.waitUntil(u.Next)
	return false, next, err
}

// notStored saves the outcome of a file that is not known to be stored.
func (f *exportFile) notStored(v sink.Verdict) (more bool, next Next, err error) {
	now := f.engine.Now()
	var refused *handoff.Upload
	if !v.Unknown && !f.noSlot {
		refused, f.cursor.Upload = f.cursor.Upload, nil
	}
	switch {
	case f.noSlot, v.Outcome == sink.Interrupted:
		err = f.release(now)
	case v.Outcome == sink.Delivered:
		return true, again, nil // there was nothing to write
	default:
		next, err = f.failed(&worker.Failure{Verdict: v, At: now})
	}
	if refused != nil && errors.Is(err, store.ErrConflict) {
		return false, Next{Lost: true}, f.engine.resolve(f.graceful, f.cursor.Key, refused, refused.From)
	}
	return false, next, err
}

// resolve saves the outcome of a file in a cursor that another actor has changed
// meanwhile, as a stop does. It does nothing if the cursor was moved to another
// offset.
func (e *Engine) resolve(ctx context.Context, k handoff.Key, u *handoff.Upload, at handoff.Offset) error {
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
