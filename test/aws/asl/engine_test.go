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
	"github.com/sluicehq/sluice/internal/problem"
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
		w.publish(5)
		w.wantAll()
		up := time.Now().Add(3 * 24 * time.Hour)
		w.set(func() { w.up = up })
		for time.Now().Before(up) {
			w.publish(3)
			pass(6 * time.Hour)
		}
		pass(10 * time.Minute)
		w.publish(2)
		w.wantAll()
		if w.most > 1 || w.overdue > 0 {
			t.Errorf("%d concurrent executions, %d times overdue", w.most, w.overdue)
		}
		all := w.machine.Executions(types.ExecutionStatusSucceeded)
		if len(all) < 3*24*60/5/limit || len(all) != len(w.machine.Executions("")) {
			t.Errorf("%d executions succeeded", len(all))
		}
		for _, x := range all {
			if x.Events > 1+limit*9+8 {
				t.Errorf("the history of %s has %d events", x.Name, x.Events)
			}
		}
	})
}

// While the function fails, executions give up and the sweep starts others, but
// never many. Once it is repaired everything arrives, and one execution is left
// for the cursor that still needs advancing.
func TestSweepRestartsAfterFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.set(func() { w.up, w.broken = time.Now().Add(365*24*time.Hour), true })
		w.publish(4)
		pass(6 * time.Hour)
		failed, running := w.machine.Executions(types.ExecutionStatusFailed), w.machine.Executions(types.ExecutionStatusRunning)
		if len(failed) < 6 || len(running) < 1 {
			t.Errorf("while the function fails %d executions failed and %d run", len(failed), len(running))
		}
		w.set(func() { w.broken = false })
		pass(20 * time.Minute)
		if n := len(w.machine.Executions(types.ExecutionStatusRunning)); n != 1 {
			t.Errorf("%d executions run, want one while the receiver is down", n)
		}
		if w.most > 10 {
			t.Errorf("%d concurrent executions", w.most)
		}
		w.set(func() { w.up = time.Now() })
		pass(20 * time.Minute)
		w.wantAll()
	})
}

const tenant = "acme"

// world is the engine over in-memory stores, with the state machine as its
// scheduler and one integration named orders. It is also the integration's sink,
// and runs in a synctest bubble.
type world struct {
	t        *testing.T
	ctx      context.Context
	records  *store.Store
	log      *memory.Log
	life     *lifecycle.Service
	machine  *Machine
	settings settings.Settings
	work     sync.WaitGroup

	mu        sync.Mutex
	published int
	got       map[string]int // calls by event
	up        time.Time      // when the receiver recovers
	broken    bool           // the function advance fails before it starts
	most      int            // the most concurrent executions
	overdue   int            // cursors that the sweeps found
}

func newWorld(t *testing.T) *world {
	ctx, cancel := context.WithCancel(context.Background())
	w := &world{t: t, ctx: ctx, records: store.New(), log: memory.New(time.Now), settings: settings.Default(), got: map[string]int{}}
	w.settings.FailureStopAfter = 10 * 24 * time.Hour
	w.machine = newMachine(t, w.advance)
	scheduler := w.scheduler("")
	live := w.engine(scheduler)
	w.life = &lifecycle.Service{
		Store: w.records, Log: w.log, Settings: w.settings, Now: time.Now,
		CheckTarget: func(context.Context, string) error { return nil },
		Schedule:    scheduler.Schedule, QuietAfter: delivery.QuietAfter(w.settings),
	}
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
		scheduler.Wait()
		live.Wait()
	})
	if _, err := w.life.Register(ctx, tenant, integration.Spec{
		ID: "orders", Type: integration.Permanent, Webhook: &integration.WebhookSpec{URL: "https://example.com/"},
	}); err != nil {
		t.Fatal(err)
	}
	pass(time.Minute)
	return w
}

func (w *world) scheduler(salt string) *statemachine.Scheduler {
	return &statemachine.Scheduler{
		SFN: clientOf(w.machine), ARN: arn, Cursors: w.records,
		Logger: slog.New(slog.DiscardHandler), Now: time.Now, Salt: salt,
	}
}

func (w *world) engine(scheduler *statemachine.Scheduler) *delivery.Engine {
	logger := slog.New(slog.DiscardHandler)
	registry := worker.NewRegistry(worker.Options{
		Sinks: w, InFlight: w.settings.InFlight, QuietAfter: delivery.QuietAfter(w.settings), Logger: logger, Now: time.Now,
	})
	return &delivery.Engine{
		Store: w.records, Log: w.log, Registry: registry, Settings: w.settings, Lifecycle: w.life,
		Logger: logger, Now: time.Now, Rand: rand.New(rand.NewPCG(rand.Uint64(), 0)), Schedule: scheduler.Schedule,
	}
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
		scheduler := w.scheduler(fmt.Sprint(time.Now().Unix()))
		n, err := w.engine(scheduler).Sweep(w.ctx)
		scheduler.Wait()
		if err != nil {
			w.t.Errorf("sweep: %v", err)
		}
		w.set(func() { w.overdue += n })
	}
}

// advance is the function advance. Each call acts as a new process.
func (w *world) advance(payload []byte) ([]byte, string, error) {
	running, broken := len(w.machine.Executions(types.ExecutionStatusRunning)), false
	w.set(func() { w.most, broken = max(w.most, running), w.broken })
	if broken {
		return []byte(`{"errorType":"Unavailable","errorMessage":"The release is broken."}`), "Unhandled", nil
	}
	var state step
	if err := json.Unmarshal(payload, &state); err != nil {
		w.t.Errorf("the function got %s: %v", payload, err)
	}
	scheduler := w.scheduler("")
	task := statemachine.Task{Advance: w.engine(scheduler).Advance, Cursors: w.records, Now: time.Now}
	next, err := task.Step(w.ctx, state)
	scheduler.Wait()
	if err != nil {
		return []byte(`{"errorType":"Error","errorMessage":"the step failed"}`), "Unhandled", nil
	}
	return encode(next), "", nil
}

func (w *world) Webhook(context.Context, *integration.Integration) (sink.Sender, error) {
	return w, nil
}

func (w *world) S3(context.Context, *integration.Integration) (sink.Exporter, error) {
	return nil, problem.New(problem.Internal, "there is no bucket here")
}

func (*world) Close() {}

func (w *world) Send(_ context.Context, e *event.Event, _ int) sink.Verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Now().Before(w.up) {
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
	if err != nil || c.State != handoff.Live {
		w.t.Errorf("in the end %+v, %v", c, err)
	}
	if n := len(w.machine.Executions(types.ExecutionStatusRunning)); n != 0 {
		w.t.Errorf("in the end %d executions run", n)
	}
}
