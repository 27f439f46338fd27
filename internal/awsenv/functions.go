package awsenv

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sluicehq/sluice/internal/alert"
	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/emf"
	"github.com/sluicehq/sluice/internal/estimate"
	"github.com/sluicehq/sluice/internal/fanout"
	"github.com/sluicehq/sluice/internal/gateway"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/health"
	"github.com/sluicehq/sluice/internal/httpapi"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/publish"
	stream "github.com/sluicehq/sluice/internal/publish/kinesis"
	"github.com/sluicehq/sluice/internal/pull"
	"github.com/sluicehq/sluice/internal/skip"
	"github.com/sluicehq/sluice/internal/statemachine"
	"github.com/sluicehq/sluice/internal/story"
)

// API returns the handler of the function api, which serves the HTTP API. The error
// lists everything that is wrong in the environment.
func API() (gateway.Handler, error) {
	e, err := open()
	if err != nil {
		return nil, err
	}
	sent := &deliveries.Service{
		Integrations: e.life, Records: e.store, Log: e.log, Cursors: e.engine, Keep: e.config.DeliveryRetention, Now: now, Logger: e.logger,
	}
	publisher := publish.New(e.stream, e.config.Settings)
	publisher.Lanes = e.lanes.Current
	healths := &health.Service{Partitions: e.store, Log: e.log, Cursor: e.engine.Cursor, Settings: e.config.Settings, Now: now}
	serve := gateway.New(httpapi.New(httpapi.Deps{
		Integrations: e.life,
		Health:       healths,
		Troubles:     &alert.Troubles{Store: e.store, Health: healths, Settings: e.config.Settings, Now: now, Logger: e.logger},
		Rejected:     e.rejected,
		Events:       &pull.Service{Integrations: e.life, Log: e.log, Settings: e.config.Settings, Now: now},
		Tests:        e.trials,
		Lanes:        e.lanes,
		Deliveries:   sent,
		Estimates:    &estimate.Service{Log: e.log, Settings: e.config.Settings, Now: now}, // this function delivers nothing, so it knows no rate
		Skips: &skip.Service{
			Store: e.records, Log: e.log, Integrations: e.life, Rejected: e.rejected,
			Cursors: e.engine, Schedule: e.scheduler.Schedule, Now: now, KeepDeliveries: e.config.DeliveryRetention,
		},
		Stories: &story.Service{
			Integrations: e.life, Records: e.store, Deliveries: sent, Cursor: e.engine.Cursor, Log: e.log,
			Settings: e.config.Settings, Lanes: e.lanes.Current, Now: now, Margin: e.config.SeekMargin,
		},
		Publisher: countingPublisher{publisher, e.metrics},
		Verifier:  gateway.Verifier{TenantClaim: e.config.TenantClaim},
		Ready:     func(context.Context) error { return nil },
		Settings:  e.config.Settings,
		Log:       e.logger,
		Now:       now,
	}))
	return func(ctx context.Context, req events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		defer e.metrics.flush()
		defer e.scheduler.Wait()
		defer e.tell(ctx)     // Lambda freezes the process after the response
		defer e.trials.Wait() // and what a probe commits is told too
		res, err := serve(ctx, req)
		e.metrics.response(res.StatusCode)
		return res, err
	}, nil
}

// countingPublisher counts published events.
type countingPublisher struct {
	httpapi.Publisher
	metrics *metrics
}

// Publish implements httpapi.Publisher.
func (p countingPublisher) Publish(ctx context.Context, call publish.Call) ([]string, error) {
	ids, err := p.Publisher.Publish(ctx, call)
	if err == nil {
		p.metrics.out.Put(emf.Metric{Name: metricPublished, Unit: emf.Count, Value: float64(len(ids))})
	}
	return ids, err
}

// Fanout returns the handler of the function fanout, which appends batches of the
// stream to the log and delivers them live.
func Fanout() (func(context.Context, events.KinesisEvent) (events.KinesisEventResponse, error), error) {
	e, err := open()
	if err != nil {
		return nil, err
	}
	q := quarantine{s3: e.s3, bucket: e.config.Bucket, metrics: e.metrics}
	h := &fanout.Handler{
		Log: e.log, Engine: e.engine, Decode: decode, GrowLanes: e.growLanes, Quarantine: q.put,
		IsPlain: stream.IsPlain, DecodePlain: e.decodePlain, Stamp: stream.StampPlain, Put: e.putPlain, Backdate: e.config.SeekMargin / 3,
		Logger: e.logger, Now: now, DrainTimeout: e.config.FollowBudget / 10,
	}
	return func(ctx context.Context, batch events.KinesisEvent) (events.KinesisEventResponse, error) {
		defer e.metrics.flush()
		defer e.scheduler.Wait()
		defer e.tell(ctx)
		r, err := h.Handle(ctx, batch)
		e.metrics.batch(r)
		return r, err
	}, nil
}

// growLanes does nothing with a single lane: no integration can have fewer.
func (e *env) growLanes(ctx context.Context, tenant string) error {
	if e.config.Lanes == 1 {
		return nil
	}
	return e.life.GrowLanes(ctx, tenant)
}

// advanceReserve is the part of the function's time that is kept, after an Advance
// ends, to save its progress.
const advanceReserve = 10 * time.Second

// Step is the input of the function advance: the state of an execution of the state machine,
// or the messages of the queue.
type Step struct {
	statemachine.State
	Records []events.SQSMessage // not of an execution
}

// Advance returns the handler of the function advance: one step of an execution of the state
// machine, whose next state it returns, or of each message of the queue, for which it returns nil.
func Advance() (func(context.Context, Step) (*statemachine.State, error), error) {
	e, err := open()
	if err != nil {
		return nil, err
	}
	task := &statemachine.Task{Advance: e.engine.Advance, Cursors: e.store, Now: now, Send: e.queue.Send}
	return func(ctx context.Context, in Step) (*statemachine.State, error) {
		defer e.scheduler.Wait()
		defer e.tell(ctx)
		stepping, cancel := withReserve(ctx, advanceReserve)
		defer cancel()
		if in.Records == nil {
			next, err := task.Step(stepping, in.State)
			e.metrics.flush()
			e.measureLag(ctx, in.Key())
			return &next, err
		}
		var errs []error
		for i := range in.Records {
			s, err := statemachine.ReadMessage(in.Records[i].Body)
			if err == nil {
				err = task.Message(stepping, s)
				e.metrics.flush()
				e.measureLag(ctx, s.Key())
			}
			errs = append(errs, err)
		}
		return nil, errors.Join(errs...)
	}, nil
}

// isReplay reports whether a cursor is of a replay.
func (e *env) isReplay(ctx context.Context, k handoff.Key) (bool, error) {
	in, err := e.store.Integration(ctx, k.Tenant, k.Integration)
	if problem.CodeOf(err) == problem.NotFound {
		return false, nil
	}
	return err == nil && in.Type == integration.Temporary, err
}

// withReserve returns a context that ends the given reserve before the invocation does.
func withReserve(ctx context.Context, reserve time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline.Add(-reserve))
}

// Schedule is the input of the function sweep.
type Schedule struct {
	Time time.Time `json:"time"` // the scheduled time of the run
}

// sweepReserve is the part of the function's time that is kept for what a sweep does besides
// restarting cursors.
const sweepReserve = 60 * time.Second

// freedAtOnce is how many deleted histories are looked for at a time.
const freedAtOnce = 100

// Sweep returns the handler of the function sweep, which restarts overdue cursors,
// deletes expired replays, raises the log's markers and frees deleted histories.
func Sweep() (func(context.Context, Schedule) error, error) {
	e, err := open()
	if err != nil {
		return nil, err
	}
	e.engine.Schedule = e.scheduler.Start // one page after another, as long as there is time
	return func(ctx context.Context, at Schedule) error {
		defer e.scheduler.Wait()
		// An execution that ended without moving its cursor has used up the name.
		e.scheduler.Salt = "-" + strconv.FormatInt(at.Time.Unix()/60, 36)
		measuring := e.measureWaiting(ctx) // before it restarts what waits
		restarting, cancel := withReserve(ctx, sweepReserve)
		overdue, err := e.engine.Sweep(restarting)
		cancel()
		e.metrics.flush()
		e.report(ctx, "restart overdue cursors", overdue, err)
		expired := e.life.DeleteExpiredReplays(ctx)
		e.report(ctx, "delete finished replays", 0, expired)
		telling := e.sweepAlerts(ctx)
		marking, cancel := withReserve(ctx, freeTime)
		raised, raising := e.log.RaiseMarkers(marking)
		cancel()
		e.report(ctx, "raise markers of the log", raised, raising)
		freed, freeing := e.free(ctx)
		e.report(ctx, "free deleted histories", freed, freeing)
		return errors.Join(measuring, err, expired, telling, raising, freeing)
	}, nil
}

// freeTime bounds how long a sweep frees deleted histories: one may have millions of
// entries. The next sweep continues.
const freeTime = 30 * time.Second

// free frees deleted histories. It runs last in a sweep because only it may take long.
func (e *env) free(ctx context.Context) (int, error) {
	limited, cancel := context.WithTimeout(ctx, freeTime)
	defer cancel()
	freed := 0
	for {
		n, err := e.store.FreeHistories(limited, freedAtOnce)
		freed += n
		if limited.Err() != nil && ctx.Err() == nil {
			return freed, nil // the next sweep continues from here
		}
		if err != nil || n < freedAtOnce {
			return freed, err
		}
	}
}

// report logs a maintenance task that failed or had something to do.
func (e *env) report(ctx context.Context, task string, count int, err error) {
	switch {
	case err != nil:
		e.logger.ErrorContext(ctx, "maintenance task failed; will retry", "task", task, "error", err)
	case count > 0:
		e.logger.InfoContext(ctx, "maintenance task done", "task", task, "count", count)
	}
}
