package node

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/backoff"
	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
)

// runner runs what is scheduled: one goroutine for each partition with live
// delivery and one for each cursor. It does what Kinesis and Step Functions do on
// AWS.
type runner struct {
	engine    *delivery.Engine
	scheduler *scheduler
	logger    *slog.Logger
	cancel    context.CancelFunc
	running   sync.WaitGroup
}

// startRunner starts a runner, which runs until stop.
func startRunner(engine *delivery.Engine, s *scheduler, logger *slog.Logger) *runner {
	ctx, cancel := context.WithCancel(context.Background())
	r := &runner{engine: engine, scheduler: s, logger: logger, cancel: cancel}
	r.running.Go(func() { r.run(ctx) })
	return r
}

func (r *runner) run(ctx context.Context) {
	for {
		select {
		case <-r.scheduler.ready:
		case <-ctx.Done():
			return
		}
		live, cursors := r.scheduler.take()
		for p, end := range live {
			r.running.Go(func() { r.deliverLive(ctx, p, end) })
		}
		for k, changed := range cursors {
			r.running.Go(func() { r.advance(ctx, k, changed) })
		}
	}
}

// deliverLive runs live delivery of a partition until the end of its log.
func (r *runner) deliverLive(ctx context.Context, p event.Partition, end *delivery.LogEnd) {
	failures := 0
	for ctx.Err() == nil {
		segment := end.Segment()
		err := r.engine.DeliverLive(ctx, p, end)
		switch {
		case err == nil && r.scheduler.endLive(p, segment):
			return
		case err == nil:
			failures = 0
		case ctx.Err() == nil:
			failures++
			r.logger.Error("live delivery failed; will retry from the low watermark", "tenant", p.Tenant, "lane", p.Lane, "error", err)
			backOff(ctx, failures, nil)
		}
	}
}

// advance advances a cursor until nothing is left to do.
func (r *runner) advance(ctx context.Context, k handoff.Key, changed chan struct{}) {
	logged := ""
	failures := 0
	for {
		next, err := r.engine.Advance(ctx, k)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failures++
			if logged != err.Error() { // log a repeated error once
				logged = err.Error()
				r.logger.Error("catch-up failed; will retry", "tenant", k.Tenant, "integration", k.Integration, "lane", k.Lane, "error", err)
			}
			backOff(ctx, failures, changed)
		case !next.Done:
			failures, logged = 0, ""
			sleep(ctx, next.Wait, changed)
		case r.scheduler.endCursor(k):
			return
		}
	}
}

// backOff waits after an internal error: 200 ms, doubling to 30 s. It ends early
// if the cursor changes or ctx ends.
func backOff(ctx context.Context, failures int, changed <-chan struct{}) {
	sleep(ctx, backoff.Ceiling(200*time.Millisecond, failures, 30*time.Second), changed)
}

func sleep(ctx context.Context, d time.Duration, changed <-chan struct{}) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-ctx.Done():
	}
}

// stop shuts down gracefully and returns when no goroutine is left.
func (r *runner) stop() {
	r.scheduler.close()
	r.cancel()
	r.running.Wait()
	r.engine.Wait()
}
