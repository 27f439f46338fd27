package s3export

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/sink"
)

// Time limits. While the last request has no response, confirm is called every
// renewEvery; the time between two calls, or from a call to the return, must fit
// into sink.ConfirmedTimeout.
const (
	responseTimeout = 10 * time.Second // of a request besides its body
	renewEvery      = 3 * time.Second
	confirmTimeout  = 3 * time.Second
	abortTimeout    = 3 * time.Second
	headTimeout     = 10 * time.Second
)

// minRate is the least throughput of an upload, in bytes a second. Below it, it has
// failed: a slow store must not hold the place of a file. A part of 5 MiB has a minute
// in all, with the request that creates its upload, as sink.PartTimeout promises.
const minRate = 128 << 10

// uploadTimeout is the time for a request with a body of the given size.
func uploadTimeout(size int) time.Duration {
	return responseTimeout + time.Duration((size+minRate-1)/minRate)*time.Second
}

// completeFor is how long the completion of an upload is repeated without a
// response before the file is written again.
const completeFor = time.Hour

// maxPut is the maximum size of a file, in bytes, that is uploaded in a single
// request, after confirm. That must be quick even on a slow line; larger files are
// uploaded in parts before confirm, and only completed after it.
const maxPut = 1 << 20

// errNotConfirmed is the failure of confirm.
var errNotConfirmed = errors.New("the export was not confirmed")

// lateError is the cause of a context that timed out.
type lateError struct{ after time.Duration }

func (e lateError) Error() string { return fmt.Sprintf("no response within %v", e.after) }

type confirmFunc = func(context.Context, handoff.Upload) error

// Export writes one file. See sink.Exporter. It does not call confirm for an empty
// sequence.
func (x *Exporter) Export(ctx context.Context, f sink.File, confirm func(context.Context, handoff.Upload) error) sink.Verdict {
	u := &upload{Exporter: x, confirm: confirm, unknown: f.Pending != nil}
	defer u.releaseBuffer()
	stored, err := u.resolve(ctx, f.Pending, f.Created)
	if !stored && err == nil {
		err = u.run(ctx, f)
	}
	if err == nil {
		return sink.Verdict{Outcome: sink.Delivered}
	}
	v := sink.Verdict{Outcome: sink.Interrupted}
	if ctx.Err() == nil && !errors.Is(err, errNotConfirmed) {
		v = x.failed(err)
	}
	if v.Unknown = u.unknown; v.Unknown && v.Outcome == sink.Retry {
		v.Reason += " The file may still be stored; this is checked before it is written again under the same name."
	}
	return v
}

// run writes the file, under a new key unless it has one already. If it fails
// before the last request is sent, or the store refuses that, the upload is
// aborted.
func (u *upload) run(ctx context.Context, f sink.File) error {
	if u.key == "" {
		u.key = u.Exporter.key(f.Created)
	}
	err := u.send(ctx, f)
	if err != nil && !u.sent {
		u.abort(ctx)
	}
	return err
}

func (u *upload) send(ctx context.Context, f sink.File) error {
	u.acquireBuffer()
	for body := range f.Bodies {
		if err := u.write(ctx, body); err != nil {
			return err
		}
		if err := u.write(ctx, newline); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if len(u.buf) == 0 {
		return nil
	}
	if u.id == "" && len(u.buf) <= maxPut {
		return u.last(ctx, uploadTimeout(len(u.buf)), u.put)
	}
	if err := u.sendPart(ctx); err != nil {
		return err
	}
	u.releaseBuffer()
	err := u.last(ctx, sink.UploadTimeout, u.complete)
	if noSuchUpload(err) && u.stored(ctx) { // a proxy has sent the request twice
		return nil
	}
	return err
}

// resolve finds out whether an earlier attempt is stored. If it is not, or that
// cannot be determined, the caller writes the file again, under the same key.
// After an error this attempt ends.
func (u *upload) resolve(ctx context.Context, earlier *handoff.Upload, now time.Time) (stored bool, err error) {
	if earlier == nil {
		return false, nil
	}
	u.key, u.id, u.size = earlier.Key, earlier.ID, earlier.Size
	u.setETags(earlier.ETags)
	if len(u.parts) > 0 && now.Sub(earlier.Created) < completeFor {
		err = u.last(ctx, sink.UploadTimeout, u.complete)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, errNotConfirmed) || ctx.Err() != nil:
			return false, err
		case refused(err):
		case u.stored(ctx): // its response was lost
			return true, nil
		default:
			return false, err
		}
	} else if err := u.confirmed(ctx); err != nil {
		return false, err
	}
	if u.stored(ctx) {
		return true, nil
	}
	u.abort(ctx)
	u.id, u.size, u.parts = "", 0, nil
	return false, ctx.Err()
}

// last sends the request that makes the file appear and waits up to d for its
// response. Without a response the outcome is unknown.
func (u *upload) last(ctx context.Context, d time.Duration, send func(context.Context) error) error {
	if err := u.confirmed(ctx); err != nil {
		return err
	}
	sent := new(atomic.Bool)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }})
	err := u.limit(ctx, d, func(ctx context.Context) error { return u.await(ctx, send) })
	u.sent = err != nil && sent.Load() && !refused(err)
	u.unknown = u.unknown || u.sent
	return err
}

// await sends the request and calls confirm until there is a response. A response
// that proves the file counts even if confirm has failed by then.
func (u *upload) await(ctx context.Context, send func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	response := make(chan error, 1)
	go func() { response <- send(ctx) }()
	renew := time.NewTicker(renewEvery)
	defer renew.Stop()
	for {
		select {
		case err := <-response:
			return err
		case <-renew.C:
			if err := u.confirmed(ctx); err != nil {
				cancel()
				if <-response == nil {
					return nil
				}
				return err
			}
		}
	}
}

// confirmed calls confirm with the state of the upload.
func (u *upload) confirmed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	if u.confirm(ctx, handoff.Upload{Key: u.key, ID: u.id, ETags: u.etags(), Size: u.size}) != nil {
		return errNotConfirmed
	}
	return nil
}

// refused reports whether a response proves that the request had no effect. Other
// errors may hide that it has one, now or later: a gateway timeout, a conflict with
// the same request sent before, a page from something that is not the store.
func refused(err error) bool {
	switch status := statusOf(err); status {
	case http.StatusRequestTimeout, http.StatusConflict:
		return false
	default:
		return status >= http.StatusMultipleChoices && status < http.StatusInternalServerError
	}
}

// limit calls do with a context that ends after d. If it does, the error is a
// lateError.
func (u *upload) limit(ctx context.Context, d time.Duration, do func(context.Context) error) error {
	late := lateError{d}
	ctx, cancel := context.WithTimeoutCause(ctx, d, late)
	defer cancel()
	err := do(ctx)
	if err != nil && !errors.Is(err, errNotConfirmed) && errors.Is(context.Cause(ctx), late) {
		return late
	}
	return err
}
