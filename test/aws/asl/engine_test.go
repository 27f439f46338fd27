package asl

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/sluicehq/sluice/internal/backoff"
	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog/memory"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/lifecycle"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/statemachine"
	"github.com/sluicehq/sluice/internal/worker"

	store "github.com/sluicehq/sluice/internal/store/memory"
)

// While the function fails, executions give up and the sweep starts others, but never
// many. Once it is repaired, one execution is left for the cursor. It alone waits for
// the three days that the receiver is down, renewed now and then, and the sweep has
// nothing to do. Then everything arrives.
func TestOutageOfDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.broken.Store(true)
		w.publish()
		pass(6 * time.Hour)
		failed, running := w.count(types.ExecutionStatusFailed), w.count(types.ExecutionStatusRunning)
		if most, _ := w.seen(); failed < 6 || running < 1 || most > 10 {
			t.Errorf("while the function fails %d executions failed and %d run, at most %d at once", failed, running, most)
		}
		w.broken.Store(false)
		pass(20 * time.Minute)
		w.seen()
		before := w.count(types.ExecutionStatusSucceeded)
		for range 3 * 4 {
			w.publish()
			pass(6 * time.Hour)
		}
		if most, overdue := w.seen(); most != 1 || overdue > 0 {
			t.Errorf("%d concurrent executions, %d times overdue", most, overdue)
		}
		if n := w.count(types.ExecutionStatusSucceeded) - before; n < 3*24*60/5/limit {
			t.Errorf("%d renewals", n)
		}
		w.up.Store(true)
		pass(10 * time.Minute)
		for i := range w.published {
			if n := w.got[fmt.Sprint(i)]; n != 1 {
				t.Errorf("event %d arrived %d times", i, n)
			}
		}
		c, err := w.records.Cursor(w.ctx, handoff.Key{Tenant: tenant, Integration: "orders"})
		if n := w.count(types.ExecutionStatusRunning); err != nil || c.State != handoff.Live || n != 0 {
			t.Errorf("in the end %+v, %v, and %d executions run", c, err, n)
		}
	})
}

const tenant = "acme"

var logger = slog.New(slog.DiscardHandler)

// world is the engine over in-memory stores, with the state machine as its
// scheduler and one integration named orders, whose receiver is down. It is also the
// integration's sink, and runs in a synctest bubble.
type world struct {
	sink.Sinks // S3 is not used
	t          *testing.T
	ctx        context.Context
	records    *store.Store
	log        *memory.Log
	life       *lifecycle.Service
	machine    *Machine
	settings   settings.Settings
	work       sync.WaitGroup

	up, broken atomic.Bool // the receiver; the function advance, which then fails before it starts
	published  int

	mu      sync.Mutex
	got     map[string]int // calls by event
	most    int            // concurrent executions
	overdue int            // cursors that the sweeps found
}

func newWorld(t *testing.T) *world {
	ctx, cancel := context.WithCancel(context.Background())
	w := &world{t: t, ctx: ctx, records: store.New(), log: memory.New(time.Now), settings: settings.Default(), got: map[string]int{}}
	w.settings.FailureStopAfter = 10 * 24 * time.Hour
	w.machine = newMachine(t, w.advance)
	w.machine.jitter = rand.Float64
	w.life = &lifecycle.Service{
		Store: w.records, Log: w.log, Settings: w.settings, Now: time.Now,
		CheckTarget: func(context.Context, string) error { return nil }, QuietAfter: delivery.QuietAfter(w.settings),
	}
	live, scheduler := w.engine("")
	w.life.Schedule = scheduler.Schedule
	w.log.OnAppend(func(p event.Partition, end uint64) {
		w.work.Go(func() {
			if err := live.DeliverLive(ctx, p, delivery.NewLogEnd(end)); err != nil && ctx.Err() == nil {
				t.Errorf("live delivery: %v", err)
			}
		})
	})
	w.work.Go(w.sweep)
	t.Cleanup(func() {
		cancel()
		w.work.Wait()
		live.Wait()
		scheduler.Wait()
	})
	if _, err := w.life.Register(ctx, tenant, integration.Spec{
		ID: "orders", Type: integration.Permanent, Webhook: &integration.WebhookSpec{URL: "https://example.com/"},
	}); err != nil {
		t.Fatal(err)
	}
	pass(time.Minute)
	return w
}

// engine returns those of a new process, whose executions have the salt in their names.
func (w *world) engine(salt string) (*delivery.Engine, *statemachine.Scheduler) {
	scheduler := &statemachine.Scheduler{SFN: clientOf(w.machine), ARN: arn, Cursors: w.records, Logger: logger, Now: time.Now, Salt: salt}
	return &delivery.Engine{
		Store: w.records, Log: w.log, Settings: w.settings, Lifecycle: w.life, Schedule: scheduler.Schedule,
		Registry: worker.NewRegistry(worker.Options{
			Sinks: w, InFlight: w.settings.InFlight, QuietAfter: delivery.QuietAfter(w.settings), Logger: logger, Now: time.Now,
		}),
		Logger: logger, Now: time.Now, Rand: rand.New(rand.NewPCG(rand.Uint64(), 0)),
	}, scheduler
}

// sweep runs the function sweep on its schedule.
func (w *world) sweep() {
	for backoff.Wait(w.ctx, w.settings.SweepInterval) == nil {
		engine, scheduler := w.engine(fmt.Sprint(time.Now().Unix()))
		n, err := engine.Sweep(w.ctx)
		scheduler.Wait()
		if err != nil {
			w.t.Errorf("sweep: %v", err)
		}
		w.mu.Lock()
		w.overdue += n
		w.mu.Unlock()
	}
}

// advance is the function advance. Each call acts as a new process.
func (w *world) advance(_ context.Context, _ string, payload []byte) ([]byte, string, error) {
	w.mu.Lock()
	w.most = max(w.most, w.count(types.ExecutionStatusRunning))
	w.mu.Unlock()
	if w.broken.Load() {
		return nil, "Unhandled", nil
	}
	var state step
	if err := json.Unmarshal(payload, &state); err != nil {
		w.t.Errorf("the function got %s: %v", payload, err)
	}
	engine, scheduler := w.engine("")
	task := statemachine.Task{Advance: engine.Advance, Cursors: w.records, Now: time.Now}
	next, err := task.Step(w.ctx, state)
	scheduler.Wait()
	return encode(next), "", err
}

func (w *world) Webhook(context.Context, *integration.Integration) (sink.Sender, error) {
	return w, nil
}

func (*world) Close() {}

func (w *world) Send(_ context.Context, e *event.Event, _ int) sink.Verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.up.Load() {
		return sink.Verdict{Outcome: sink.Retry, Status: 503, Reason: "The receiver is down."}
	}
	w.got[e.ID]++
	return sink.Verdict{Outcome: sink.Delivered}
}

func (w *world) publish() {
	w.t.Helper()
	draft := event.Draft{ID: fmt.Sprint(w.published), Name: "order.created", Payload: []byte(`{}`)}
	w.published++
	if err := w.log.Publish(w.ctx, tenant, w.settings.Lanes, []event.Draft{draft}); err != nil {
		w.t.Fatal(err)
	}
}

// seen returns the most concurrent executions and the overdue cursors since the last
// call.
func (w *world) seen() (most, overdue int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	most, overdue, w.most, w.overdue = w.most, w.overdue, 0, 0
	return most, overdue
}

func (w *world) count(status types.ExecutionStatus) int { return len(w.machine.list("", status)) }
