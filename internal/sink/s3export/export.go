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

// How long things may take. While the last request has no answer confirm is
// called every renewEvery: what lies between two calls, or between a call and
// the return, fits into sink.ConfirmedTimeout.
const (
	requestTimeout = sink.PartTimeout
	renewEvery     = 3 * time.Second
	confirmTimeout = 3 * time.Second
	abortTimeout   = 3 * time.Second
	headTimeout    = 10 * time.Second
)

// settleFor is for how long the completion of one upload is repeated, while
// there is no answer, before the file is written again.
const settleFor = time.Hour

// maxPut is the most that is uploaded after confirm, in a single request. It
// has to get through in a short time on a slow line; longer files are uploaded
// before, in parts, and only put together after.
const maxPut = 1 << 20

// errGivenUp is the failure of confirm.
var errGivenUp = errors.New("the export was not confirmed")

// lateError is the cause of a context whose time is over.
type lateError struct{ after time.Duration }

func (e lateError) Error() string { return fmt.Sprintf("no answer within %v", e.after) }

type confirmFunc = func(context.Context, handoff.Upload) error

// Export writes one file. See sink.Exporter. For an empty sequence confirm
// is not called.
func (x *Exporter) Export(ctx context.Context, f sink.File, confirm func(context.Context, handoff.Upload) error) sink.Verdict {
	u := &upload{Exporter: x, confirm: confirm, unknown: f.Again != nil}
	defer u.giveRoom()
	stored, err := u.settle(ctx, f.Again, f.Created)
	if !stored && err == nil {
		err = u.run(ctx, f)
	}
	if err == nil {
		return sink.Verdict{Outcome: sink.Delivered}
	}
	v := sink.Verdict{Outcome: sink.Interrupted}
	if ctx.Err() == nil && !errors.Is(err, errGivenUp) {
		v = x.failed(err)
	}
	if v.Unknown = u.unknown; v.Unknown && v.Reason != "" {
		v.Reason += " The file may be stored all the same: that is looked up before it is written again, under the same name."
	}
	return v
}

// run writes the file, as a new one unless it has a key already. What fails
// before the last request is sent, and what the store refuses, is thrown away.
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
	u.takeRoom()
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
		return u.last(ctx, sink.PartTimeout, u.put)
	}
	if err := u.sendPart(ctx); err != nil {
		return err
	}
	u.giveRoom()
	err := u.last(ctx, sink.UploadTimeout, u.complete)
	if noSuchUpload(err) && u.stored(ctx) { // something on the way has sent it twice
		return nil
	}
	return err
}

// settle finds out whether an earlier attempt is stored. Where that cannot be
// told the file is written again, under the same key. An error says that nothing
// can be done at the moment.
func (u *upload) settle(ctx context.Context, earlier *handoff.Upload, now time.Time) (stored bool, err error) {
	if earlier == nil {
		return false, nil
	}
	u.key, u.id, u.size = earlier.Key, earlier.ID, earlier.Size
	u.setETags(earlier.ETags)
	if len(u.parts) > 0 && now.Sub(earlier.Created) < settleFor {
		err = u.last(ctx, sink.UploadTimeout, u.complete)
		if err == nil || u.sent || errors.Is(err, errGivenUp) || ctx.Err() != nil || !refused(err) {
			return err == nil, err
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

// last sends the request without which there is no file, and waits for its
// answer for up to d. Where none comes the outcome is unknown.
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

// await sends the request and keeps confirming until it is answered. An answer
// that proves the file counts even if confirm has failed meanwhile.
func (u *upload) await(ctx context.Context, send func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answer := make(chan error, 1)
	go func() { answer <- send(ctx) }()
	renew := time.NewTicker(renewEvery)
	defer renew.Stop()
	for {
		select {
		case err := <-answer:
			return err
		case <-renew.C:
			if err := u.confirmed(ctx); err != nil {
				cancel()
				if <-answer == nil {
					return nil
				}
				return err
			}
		}
	}
}

// confirmed calls confirm.
func (u *upload) confirmed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	defer cancel()
	if u.confirm(ctx, handoff.Upload{Key: u.key, ID: u.id, ETags: u.etags(), Size: u.size}) != nil {
		return errGivenUp
	}
	return nil
}

// refused reports whether an answer says that the request is not carried out.
// Others can hide that it is, or will be: a gateway's that has lost patience, a
// conflict with the same request sent before, a page of something else.
func refused(err error) bool {
	switch status := statusOf(err); status {
	case http.StatusRequestTimeout, http.StatusConflict:
		return false
	default:
		return status >= http.StatusMultipleChoices && status < http.StatusInternalServerError
	}
}

// limit calls do with a context that ends after d, and makes that the error if
// it does.
func (u *upload) limit(ctx context.Context, d time.Duration, do func(context.Context) error) error {
	late := lateError{d}
	ctx, cancel := context.WithTimeoutCause(ctx, d, late)
	defer cancel()
	err := do(ctx)
	if err != nil && !errors.Is(err, errGivenUp) && errors.Is(context.Cause(ctx), late) {
		return late
	}
	return err
}
