package trial

import (
	"context"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
)

// Probe probes the bucket of an S3 integration, in the background and at most
// sink.ProbeTimeout long once it has a place for the call. If the probe fails, the
// integration and its log say so; if it succeeds, the integration no longer does. A probe
// that a shutdown ends is not repeated: the first file says the same.
func (s *Service) Probe(in *integration.Integration) {
	s.probes.Go(func() {
		err := s.probe(s.ctx, in)
		if err != nil && s.ctx.Err() == nil {
			s.Logger.Warn("target not probed", "tenant", in.Tenant, "integration", in.ID, "error", err)
		}
	})
}

func (s *Service) probe(ctx context.Context, in *integration.Integration) error {
	prober, err := s.Sinks.Prober(ctx, in)
	if err != nil {
		return err
	}
	defer prober.Close()
	give, err := s.reserve(ctx, in)
	if err != nil {
		return err
	}
	v := prober.Probe(ctx)
	give()
	switch v.Outcome {
	case sink.Delivered, sink.Retry:
		return s.note(ctx, in, v)
	default:
		return nil // it says nothing of the target
	}
}

// note stores what a probe has found, unless the integration was changed meanwhile.
func (s *Service) note(ctx context.Context, probed *integration.Integration, v sink.Verdict) error {
	return store.Transact(func() error {
		in, err := s.Store.Integration(ctx, probed.Tenant, probed.ID)
		if problem.CodeOf(err) == problem.NotFound {
			return nil
		}
		if err != nil || in.Incarnation != probed.Incarnation || in.Generation != probed.Generation {
			return err
		}
		if v.Outcome == sink.Delivered {
			if in.Unreachable == nil {
				return nil
			}
			in.Unreachable = nil
			return s.Store.Commit(ctx, store.PutIntegration{Integration: in})
		}
		now := s.Now()
		in.Unreachable = &integration.Unreachable{At: now, Cause: v.Cause, Status: v.Status}
		return s.Store.Commit(ctx, store.PutIntegration{Integration: in}, store.AddEntry{
			History: store.HistoryOf(in),
			Entry:   integration.LogEntry{Action: integration.ActionUnreachable, Reason: "Probed the target, without writing a file. " + v.Reason, CreatedAt: now},
		})
	})
}
