// Package runner runs the delivery of one process: it holds what is due, and gives it to
// the engine, as Kinesis and Step Functions do on AWS.
package runner

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/backoff"
	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/handoff"
)

// Engine is what the runner runs: delivery.Engine.
type Engine interface {
	DeliverLive(ctx context.Context, p event.Partition, end *delivery.LogEnd) error
	AdvanceIn(ctx context.Context, k handoff.Key, p *delivery.Place) (delivery.Next, error)
	Wait()
	SaveEntries(ctx context.Context) error
	UnsavedEntries() int
	SaveAttempts(ctx context.Context) error
	SaveAlerts(ctx context.Context) error
}

// Places are what the tenants share.
type Places struct {
	Steps [delivery.Kinds]*fairshare.Limiter
	Turns *fairshare.Limiter // of steps, for a short time each; nil for no limit
}

// Runner runs what is scheduled: one goroutine for each partition with live delivery,
// and one for each step of a cursor, for which there are so many places.
type Runner struct {
	engine    Engine
	scheduler *Scheduler
	places    *Places
	logger    *slog.Logger
	cancel    context.CancelFunc
	running   sync.WaitGroup
}

// Start starts a runner, which runs until Stop.
func Start(engine Engine, s *Scheduler, p *Places, logger *slog.Logger) *Runner {
	ctx, cancel := context.WithCancel(context.Background())
	r := &Runner{engine: engine, scheduler: s, places: p, logger: logger, cancel: cancel}
	r.running.Go(func() { r.run(ctx) })
	r.running.Go(func() { r.saveOutages(ctx) })
	return r
}

func (r *Runner) run(ctx context.Context) {
	for {
		select {
		case <-r.scheduler.ready:
		case <-ctx.Done():
			return
		}
		live, due := r.scheduler.take()
		for p, end := range live {
			r.running.Go(func() { r.deliverLive(ctx, p, end) })
		}
		for _, t := range due {
			r.admit(ctx, t)
		}
	}
}

// admit starts a step of a cursor once there is a place for it.
func (r *Runner) admit(ctx context.Context, t *task) {
	places := r.places.Steps[t.kind]
	start := func() {
		place := delivery.NewPlace(t.kind, places, t.key.Tenant)
		r.running.Go(func() { r.advance(ctx, t, place) })
	}
	t.waiter.Granted = start
	if places.Take(t.key.Tenant, &t.waiter) {
		start()
	}
}

// deliverLive runs live delivery of a partition until the end of its log.
func (r *Runner) deliverLive(ctx context.Context, p event.Partition, end *delivery.LogEnd) {
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
			_ = backoff.Wait(ctx, delay(failures))
		}
	}
}

// advance runs one step of a cursor.
func (r *Runner) advance(ctx context.Context, t *task, place *delivery.Place) {
	defer place.GiveBack() // last, so that the task goes behind those that wait
	endTurn, err := takeTurn(ctx, r.places.Turns, t.key.Tenant)
	if err != nil {
		return
	}
	defer endTurn()
	if ctx.Err() != nil {
		return
	}
	r.scheduler.begin(t)
	next, err := r.engine.AdvanceIn(ctx, t.key, place)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		t.failures++
		r.report(t, err)
		r.scheduler.again(t, delay(t.failures))
	case next.Done:
		r.scheduler.end(t)
	default:
		t.failures, t.logged, t.kind = 0, "", next.Kind
		r.scheduler.again(t, next.Wait)
	}
}

// report logs the failure of a step, a repeated one once.
func (r *Runner) report(t *task, err error) {
	if t.logged == err.Error() {
		return
	}
	t.logged = err.Error()
	r.logger.Error("catch-up failed; will retry", "tenant", t.key.Tenant, "integration", t.key.Integration, "lane", t.key.Lane, "error", err)
}

// delay is how long to back off after an internal error: 200 ms, doubling to 30 s.
func delay(failures int) time.Duration {
	return backoff.Ceiling(200*time.Millisecond, failures, 30*time.Second)
}

// How late log entries of failed attempts are saved: soon if they are few. In an
// outage of many receivers more of them share a page of the database if they wait.
// The attempts themselves wait longer. A killed process forgets what is not saved.
const (
	saveSoon     = 2 * time.Second
	few          = 100
	saveEntries  = time.Minute
	saveAttempts = 2 * time.Minute
)

// saveTimeout limits saving the failed attempts at shutdown.
const saveTimeout = 3 * time.Second

// saveOutages saves what failed attempts leave in memory, until ctx ends.
func (r *Runner) saveOutages(ctx context.Context) {
	tick := time.NewTicker(saveSoon)
	defer tick.Stop()
	entries, attempts := time.Now(), time.Now() // when they were last saved
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if r.engine.UnsavedEntries() <= few || time.Since(entries) >= saveEntries {
			r.reportUnsaved(ctx, r.engine.SaveEntries(ctx))
			entries = time.Now()
		}
		r.reportUnsaved(ctx, r.engine.SaveAlerts(ctx))
		if time.Since(attempts) >= saveAttempts {
			r.reportUnsaved(ctx, r.engine.SaveAttempts(ctx))
			attempts = time.Now()
		}
	}
}

func (r *Runner) reportUnsaved(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		r.logger.Error("failed attempts not saved; will retry", "error", err)
	}
}

// Stop shuts down gracefully and returns when no goroutine is left.
func (r *Runner) Stop() {
	r.scheduler.close()
	r.cancel()
	r.running.Wait()
	r.engine.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	if err := errors.Join(r.engine.SaveEntries(ctx), r.engine.SaveAttempts(ctx)); err != nil {
		r.logger.Error("failed attempts not saved at shutdown; after a start their receivers are called at once", "error", err)
	}
}
