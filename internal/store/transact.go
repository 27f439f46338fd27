package store

import (
	"context"
	"errors"
	"time"

	"github.com/sluicehq/sluice/internal/problem"
)

// maxConflicts is how many attempts Transact makes. Each conflict means that
// another transaction succeeded, so a dozen concurrent ones all do in the end.
const maxConflicts = 50

// Transact runs try, which reads records and ends in a Commit, and repeats it
// while it returns ErrConflict. After 50 conflicts it returns ErrConflict.
func Transact(try func() error) error {
	var err error
	for range maxConflicts {
		if err = try(); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return err
}

// Contended turns ErrConflict from a transaction on an integration into a
// problem.Conflict for the client. It returns other errors unchanged.
func Contended(err error, id string) error {
	if !errors.Is(err, ErrConflict) {
		return err
	}
	return problem.Wrap(err, problem.Conflict, "Integration %q is being modified concurrently. Nothing was changed; try again.", id)
}

// commitTimeout limits a Commit that no longer ends with its caller's context.
const commitTimeout = 10 * time.Second

// CommitDetached commits the writes. Once begun, the Commit does not end with ctx:
// otherwise its outcome would be unknown when a client disconnects.
func CommitDetached(ctx context.Context, s Store, writes ...Write) error {
	return CommitWithin(ctx, commitTimeout, s, writes...)
}

// CommitWithin is CommitDetached with a limit of its own. A Commit that the store has begun
// may take effect a moment after it.
func CommitWithin(ctx context.Context, limit time.Duration, s Store, writes ...Write) error {
	if ctx.Err() == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), limit)
		defer cancel()
	}
	return s.Commit(ctx, writes...)
}
