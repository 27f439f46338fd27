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
		if failed < 6 || running < 1 {
			t.Errorf("while the function fails %d executions failed and %d run", failed, running)
		}
		w.broken.Store(false)
		pass(20 * time.Minute)
		w.allowed.Store(1)
		before := w.count(types.ExecutionStatusSucceeded)
		for range 3 * 4 {
			w.publish()
			pass(6 * time.Hour)
		}
		if n := w.count(types.ExecutionStatusSucceeded) - before; n < 3*24*60/5/limit {
			t.Errorf("%d renewals", n)
		}
		w.up.Store(true)
		pass(10 * time.Minute)
		c, err := w.records.Cursor(w.ctx, handoff.Key{Tenant: tenant, Integration: "orders"})
		if n := w.count(types.ExecutionStatusRunning); err != nil || c.State != handoff.Live || n != 0 || len(w.got) != w.published {
			t.Errorf("in the end %+v, %v; %d executions run; %d of %d events arrived", c, err, n, len(w.got), w.published)
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

	published  int
	up, broken atomic.Bool  // the receiver; the function advance, which then fails before it starts
	allowed    atomic.Int32 // concurrent executions; if one, the sweep must find nothing

	mu  sync.Mutex
	got map[string]bool // events
}

func newWorld(t *testing.T) *world {
	ctx, cancel := context.WithCancel(context.Background())
	w := &world{t: t, ctx: ctx, records: store.New(), log: memory.New(time.Now), settings: settings.Default(), got: map[string]bool{}}
	w.settings.FailureStopAfter = 10 * 24 * time.Hour
	w.allowed.Store(10)
	w.machine = newMachine(t, w.advance)
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
	scheduler := &statemachine.Scheduler{SFN: clientOf(w.machine), ARN: arn, Cursors: w.records, Replay: replays, Logger: logger, Now: time.Now, Salt: salt}
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
		if err != nil || n > 0 && w.allowed.Load() == 1 {
			w.t.Errorf("sweep: %d cursors are overdue, %v", n, err)
		}
	}
}

// advance is the function advance. Each call acts as a new process.
func (w *world) advance(_ context.Context, _ string, payload []byte) ([]byte, string, error) {
	if n := w.count(types.ExecutionStatusRunning); n > int(w.allowed.Load()) {
		w.t.Errorf("%d executions run", n)
	}
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
	if w.got[e.ID] {
		w.t.Errorf("event %s arrived again", e.ID)
	}
	w.got[e.ID] = true
	return sink.Verdict{Outcome: sink.Delivered}
}

func (w *world) publish() {
	w.t.Helper()
	draft := event.Draft{ID: fmt.Sprint(w.published), Name: "order.created", Payload: []byte(`{}`)}
	w.published++
	if err := w.log.Publish(w.ctx, tenant, event.Lanes{Each: w.settings.Lanes}, []event.Draft{draft}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) count(status types.ExecutionStatus) int { return len(w.machine.list("", status)) }

// replays has every cursor advanced by an execution.
func replays(context.Context, handoff.Key) (bool, error) { return true, nil }
