package delivery

import (
	"context"
	"errors"
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// pendingUpload returns the file whose outcome is unknown: it must be looked up or
// written again before a new one is started. It is nil if there is none. One that
// starts at another offset, as after the cursor was moved, is forgotten.
func (s *step) pendingUpload() *handoff.Upload {
	if u := s.cursor.Upload; u != nil && u.From != s.cursor.Offset {
		s.cursor.GiveUpUpload()
	}
	return s.cursor.Upload
}

// confirm is called before the last request is sent, and repeatedly while it has
// no response. It renews the lease, so that no other actor writes the file, and
// saves in the cursor that the file may exist from now on.
func (f *exportFile) confirm(ctx context.Context, u handoff.Upload) error {
	if f.err != nil {
		return f.err
	}
	if f.torn {
		return errTorn
	}
	if u.ID != "" {
		f.leavePlace() // a slow bucket blocks only its own files
	}
	if f.deadline.IsZero() {
		f.deadline = f.engine.Now().Add(requestTimeout(u))
	}
	u.From, u.To, u.Created, u.Until = f.cursor.Offset, f.log.offset, f.created, f.deadline
	u.Tally = f.log.tally
	if f.last {
		u.Next = f.created.Add(f.engine.Settings.S3FileInterval)
	}
	if f.pending != nil && f.events == 0 { // looked up, not written again
		u.To, u.Next, u.Created, u.Tally = f.pending.To, f.pending.Next, f.pending.Created, f.pending.Tally
	}
	f.cursor.Upload = &u
	f.err = f.lease(ctx, f.engine.Store.Commit) // by ctx's deadline, which sink.ConfirmedTimeout relies on
	f.confirmed = f.confirmed || f.err == nil
	return f.err
}

// errTorn means that a file must not replace an earlier one, which has more events.
var errTorn = errors.New("an event of the earlier file can no longer be read")

// requestTimeout is how long a bucket may take to carry out a file's last request.
func requestTimeout(u handoff.Upload) time.Duration {
	if u.ID == "" {
		return sink.PartTimeout
	}
	return sink.UploadTimeout
}

// stored moves the cursor past the file.
func (f *exportFile) stored(ctx context.Context, v sink.Verdict) (more bool, next Next, err error) {
	u := f.cursor.Upload
	f.cursor.Upload = nil
	f.sentFile(u, v)
	f.succeeded(f.engine.Now())
	u.Tally.DeliveredAt = f.engine.Now().UTC().Truncate(time.Millisecond)
	at := handoff.AckState{Offset: u.To, Tally: u.Tally}
	err = f.save(ctx, at)
	if errors.Is(err, store.ErrConflict) {
		return false, Next{Lost: true}, f.engine.resolve(ctx, f.cursor.Key, u, u.To, f.withNotes()...)
	}
	if err != nil {
		return false, again, err
	}
	f.log.seek(at)
	if u.Next.IsZero() {
		return true, again, nil
	}
	if f.last {
		next, outcome, err := f.endOfLog(ctx, f.log.ackState())
		if err != nil || outcome != readMore {
			return false, next, err
		}
	}
	next, err = f.waitUntil(ctx, u.Next)
	return false, next, err
}

// notStored saves the outcome of a file that is not known to be stored.
func (f *exportFile) notStored(ctx context.Context, v sink.Verdict) (more bool, next Next, err error) {
	now := f.engine.Now()
	var refused *handoff.Upload
	if !v.Unknown && !f.noPlace {
		refused, f.cursor.Upload = f.cursor.Upload, nil
	}
	switch {
	case f.noPlace, v.Outcome == sink.Interrupted:
		err = f.release(ctx, now)
	case v.Outcome == sink.Unsent:
		next, err = f.waitUntil(ctx, now.Add(f.engine.Settings.RetryMin))
	case v.Outcome == sink.Delivered:
		return true, again, nil // there was nothing to write
	default:
		next, err = f.failed(ctx, &worker.Failure{Verdict: v, At: now})
	}
	if refused != nil && errors.Is(err, store.ErrConflict) {
		return false, Next{Lost: true}, f.engine.resolve(ctx, f.cursor.Key, refused, refused.From)
	}
	return false, next, err
}

// resolve saves the outcome of a file in a cursor that another actor has changed
// meanwhile, as a stop does, with the notes. It does nothing if the cursor was moved to
// another offset.
func (e *Engine) resolve(ctx context.Context, k handoff.Key, u *handoff.Upload, at handoff.Offset, notes ...store.Write) error {
	return store.Transact(func() error {
		c, err := e.Store.Cursor(ctx, k)
		if err != nil {
			return err
		}
		if c.Upload == nil || c.Upload.Key != u.Key || c.Offset != u.From {
			return nil
		}
		if c.Upload = nil; at != u.From {
			c.AckState = handoff.AckState{Offset: at, Tally: u.Tally}
		}
		return e.Store.Commit(ctx, append(notes, store.PutCursor{Cursor: c})...)
	})
}
