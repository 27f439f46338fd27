package asl

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

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

// Events published while a receiver was down for three days arrive. A single
// execution waits the whole time, renewed now and then, and the sweep has nothing
// to do.
func TestReceiverDownForDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		for range 3 * 4 {
			w.publish(3)
			pass(6 * time.Hour)
		}
		w.set(func() { w.up = true })
		pass(10 * time.Minute)
		w.wantAll()
		if w.most > 1 || w.overdue > 0 {
			t.Errorf("%d concurrent executions, %d times overdue", w.most, w.overdue)
		}
		if all := w.machine.list("", ""); len(all) < 3*24*60/5/limit {
			t.Errorf("%d executions: it was not renewed", len(all))
		} else {
			wantSucceeded(t, w.machine, len(all))
		}
	})
}

// While the function fails, executions give up and the sweep starts others, but
// never many. Once it is repaired everything arrives, and one execution is left
// for the cursor that still needs advancing.
func TestSweepRestartsAfterFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.set(func() { w.broken = true })
		w.publish(4)
		pass(6 * time.Hour)
		if failed, running := w.count(types.ExecutionStatusFailed), w.count(types.ExecutionStatusRunning); failed < 6 || running < 1 {
			t.Errorf("while the function fails %d executions failed and %d run", failed, running)
		}
		w.set(func() { w.broken = false })
		pass(20 * time.Minute)
		if n := w.count(types.ExecutionStatusRunning); n != 1 || w.most > 10 {
			t.Errorf("%d executions run, want one while the receiver is down; %d ran at once", n, w.most)
		}
		w.set(func() { w.up = true })
		pass(20 * time.Minute)
		w.wantAll()
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

	mu        sync.Mutex
	published int
	got       map[string]int // calls by event
	up        bool           // the receiver
	broken    bool           // the function advance fails before it starts
	most      int            // the most concurrent executions
	overdue   int            // cursors that the sweeps found
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
	registry := worker.NewRegistry(worker.Options{
		Sinks: w, InFlight: w.settings.InFlight, QuietAfter: delivery.QuietAfter(w.settings), Logger: logger, Now: time.Now,
	})
	return &delivery.Engine{
		Store: w.records, Log: w.log, Registry: registry, Settings: w.settings, Lifecycle: w.life,
		Logger: logger, Now: time.Now, Rand: rand.New(rand.NewPCG(rand.Uint64(), 0)), Schedule: scheduler.Schedule,
	}, scheduler
}

// sweep runs the function sweep on its schedule.
func (w *world) sweep() {
	ticker := time.NewTicker(w.settings.SweepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-w.ctx.Done():
			return
		}
		engine, scheduler := w.engine(fmt.Sprint(time.Now().Unix()))
		n, err := engine.Sweep(w.ctx)
		scheduler.Wait()
		if err != nil {
			w.t.Errorf("sweep: %v", err)
		}
		w.set(func() { w.overdue += n })
	}
}

// advance is the function advance. Each call acts as a new process.
func (w *world) advance(_ context.Context, _ string, payload []byte) ([]byte, string, error) {
	running, broken := w.count(types.ExecutionStatusRunning), false
	w.set(func() { w.most, broken = max(w.most, running), w.broken })
	if broken {
		return []byte(`{"errorType":"Unavailable"}`), "Unhandled", nil
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
	if !w.up {
		return sink.Verdict{Outcome: sink.Retry, Status: 503, Reason: "The receiver is down."}
	}
	w.got[e.ID]++
	return sink.Verdict{Outcome: sink.Delivered}
}

func (w *world) publish(n int) {
	w.t.Helper()
	var drafts []event.Draft
	for range n {
		drafts = append(drafts, event.Draft{ID: fmt.Sprint(w.published), Name: "order.created", Payload: []byte(`{}`)})
		w.published++
	}
	if err := w.log.Publish(w.ctx, tenant, w.settings.Lanes, drafts); err != nil {
		w.t.Fatal(err)
	}
}

// set changes the world.
func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) count(status types.ExecutionStatus) int { return len(w.machine.list("", status)) }

// wantAll fails unless every event arrives once and the integration is live, with
// no execution left.
func (w *world) wantAll() {
	w.t.Helper()
	pass(time.Minute)
	for i := range w.published {
		if n := w.got[fmt.Sprint(i)]; n != 1 {
			w.t.Errorf("event %d arrived %d times", i, n)
		}
	}
	c, err := w.records.Cursor(w.ctx, handoff.Key{Tenant: tenant, Integration: "orders"})
	if n := w.count(types.ExecutionStatusRunning); err != nil || c.State != handoff.Live || n != 0 {
		w.t.Errorf("in the end %+v, %v, and %d executions run", c, err, n)
	}
}
