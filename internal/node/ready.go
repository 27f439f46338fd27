package node

import (
	"context"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/problem"
)

// readiness tells whether calls can be served: a publish would be written, and
// access tokens can be verified.
type readiness struct {
	write    func(context.Context) error
	verifier auth.Verifier
}

// shareReadiness returns the probe, whose result callers share: it writes to the disk.
func shareReadiness(write func(context.Context) error, v auth.Verifier) func(context.Context) error {
	r := &readiness{write: write, verifier: v}
	s := share(func(ctx context.Context) (struct{}, error) { return struct{}{}, r.probe(ctx) })
	return func(ctx context.Context) error {
		_, err := s.Get(ctx)
		return err
	}
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
