package s3export

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
)

// How long requests may take. From the call of confirm on, everything has to
// fit into delivery.ConfirmedTimeout: the last request, and aborting the
// upload if that one fails. What is left for the abort is also the time in
// which a store may still carry out a last request that we gave up.
const (
	requestTimeout = delivery.PartTimeout
	abortTimeout   = 3 * time.Second
	finishTimeout  = delivery.ConfirmedTimeout - abortTimeout
)

// maxPut is the most that is uploaded after confirm, in a single request. It
// has to get through within finishTimeout on a slow line; longer files are
// uploaded before, in parts, and only put together after.
const maxPut = 1 << 20

// errGivenUp is the failure of confirm.
var errGivenUp = errors.New("the export was not confirmed")

// lateError is the cause of a context whose time is over.
type lateError struct{ after time.Duration }

func (e lateError) Error() string { return fmt.Sprintf("no answer within %v", e.after) }

// Export writes one file. See delivery.Exporter. For an empty sequence confirm
// is not called.
func (x *Exporter) Export(ctx context.Context, created time.Time, bodies iter.Seq[[]byte], confirm func(context.Context) error) delivery.Verdict {
	room := x.client.parts.Get().(*[]byte)
	defer x.client.parts.Put(room)
	u := &upload{Exporter: x, key: x.key(created), buf: (*room)[:0]}
	if err := u.run(ctx, bodies, confirm); err != nil {
		u.abort(ctx)
		if ctx.Err() != nil || errors.Is(err, errGivenUp) {
			return delivery.Verdict{Outcome: delivery.Interrupted}
		}
		return x.failed(err)
	}
	return delivery.Verdict{Outcome: delivery.Delivered}
}

func (u *upload) run(ctx context.Context, bodies iter.Seq[[]byte], confirm func(context.Context) error) error {
	for body := range bodies {
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
	if u.id != "" || len(u.buf) > maxPut {
		if err := u.sendPart(ctx); err != nil {
			return err
		}
	}
	return u.limit(ctx, finishTimeout, func(ctx context.Context) error {
		if err := confirm(ctx); err != nil {
			return errGivenUp
		}
		if u.id == "" {
			return u.put(ctx)
		}
		return u.complete(ctx)
	})
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
