package store

import (
	"context"
	"errors"
	"time"

	"github.com/sluicehq/sluice/internal/problem"
)

// maxConflicts is how often Transact tries. Each conflict means that another
// transaction got through, so a dozen at once all do.
const maxConflicts = 50

// Transact runs try, which reads records and ends in a Commit, again for as long
// as it meets ErrConflict. After 50 conflicts it returns ErrConflict.
func Transact(try func() error) error {
	var err error
	for range maxConflicts {
		if err = try(); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return err
}

// Contended gives an ErrConflict of a transaction about an integration its code
// and a sentence for the caller. Other errors are returned as they are.
func Contended(err error, id string) error {
	if !errors.Is(err, ErrConflict) {
		return err
	}
	return problem.Wrap(err, problem.Conflict, "Integration %q is being modified concurrently. Nothing was changed; try again.", id)
}

// commitTimeout bounds a Commit whose caller has gone away.
const commitTimeout = 10 * time.Second

// CommitDetached makes the writes. A Commit that has begun does not end with ctx:
// a client that goes away would leave open what was done.
func CommitDetached(ctx context.Context, s Store, writes ...Write) error {
	if ctx.Err() == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
		defer cancel()
	}
	return s.Commit(ctx, writes...)
}
