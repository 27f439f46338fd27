package node

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/problem"
)

// readyFor is how long one result of the probe is shared: the probe
// writes to the disk, and needs no token.
const readyFor = time.Second

// readiness tells whether calls can be served: a publish would be written, and
// access tokens can be verified. Callers share one probe a second. It is safe for
// concurrent use.
type readiness struct {
	write    func(context.Context) error
	verifier auth.Verifier
	now      func() time.Time

	probes singleflight.Group
	mu     sync.Mutex
	at     time.Time
	err    error
}

// Ready returns the result of the newest probe, or ctx's error if it ends before one.
func (r *readiness) Ready(ctx context.Context) error {
	if fresh, err := r.last(); fresh {
		return err
	}
	done := r.probes.DoChan("", func() (any, error) {
		if fresh, err := r.last(); fresh {
			return nil, err // probed since this caller looked
		}
		err := r.probe(context.WithoutCancel(ctx)) // other callers share it
		r.mu.Lock()
		defer r.mu.Unlock()
		r.at, r.err = r.now(), err
		return nil, err
	})
	select {
	case result := <-done:
		return result.Err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// last returns the result of the newest probe while it is fresh.
func (r *readiness) last() (fresh bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.at.IsZero() && r.now().Sub(r.at) < readyFor, r.err
}

func (r *readiness) probe(ctx context.Context) error {
	if err := r.write(ctx); err != nil {
		return err
	}
	v, ok := r.verifier.(interface{ Ready(context.Context) error })
	if !ok {
		return nil
	}
	if err := v.Ready(ctx); err != nil {
		return problem.Wrap(err, problem.Unavailable, "Access tokens cannot be verified: the keys of the issuer cannot be fetched. Check SLUICE_ISSUER and the network.")
	}
	return nil
}
