package asl_test

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

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/lifecycle"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/statemachine"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/memory"
	"github.com/sluicehq/sluice/test/aws/asl"

	logmemory "github.com/sluicehq/sluice/internal/eventlog/memory"
)

const tenant = "acme"

// world is the engine over ports in memory, with the state machine for its
// scheduler. Each call of the function advance is a process of its own. It
// lives in a synctest bubble.
type world struct {
	t        *testing.T
	ctx      context.Context
	records  *memory.Store
	log      *logmemory.Log
	life     *lifecycle.Service
	service  *asl.Service
	settings settings.Settings
	work     sync.WaitGroup

	mu      sync.Mutex
	next    int
	got     map[string]int // calls by event
	answer  func() delivery.Verdict
	fault   func() error // of the function advance, before it begins; nil for none
	kill    bool         // the next call of the receiver from the function kills it
	most    int          // executions at once
	overdue int          // cursors that the sweeps found
}

func newWorld(t *testing.T) *world {
	ctx, cancel := context.WithCancel(context.Background())
	w := &world{
		t: t, ctx: ctx, records: memory.New(), log: logmemory.New(time.Now), settings: settings.Default(),
		got:    map[string]int{},
		answer: func() delivery.Verdict { return delivery.Verdict{Outcome: delivery.Delivered} },
		fault:  func() error { return nil },
	}
	w.settings.FailureStopAfter = 10 * 24 * time.Hour
	w.service = newService(t, asl.Options{}, w.advance)
	scheduler := w.scheduler("")
	follower := w.engine(w.records, scheduler.Drive, false)
	w.life = &lifecycle.Service{
		Store: w.records, Log: w.log, Sealer: plain{}, Settings: w.settings, Now: time.Now,
		CheckTarget: func(context.Context, string) error { return nil },
		Drive:       scheduler.Drive, QuietAfter: follower.QuietAfter(),
	}
	w.log.OnAppend(func(p event.Partition, head uint64) {
		w.work.Go(func() {
			if err := follower.Follow(ctx, p, delivery.NewTail(head)); err != nil && ctx.Err() == nil {
				t.Errorf("follow: %v", err)
			}
		})
	})
	w.work.Go(w.sweep)
	t.Cleanup(func() {
		cancel()
		w.work.Wait()
		scheduler.Wait()
		follower.Wait()
	})
	return w
}

func (w *world) scheduler(salt string) *statemachine.Scheduler {
	return &statemachine.Scheduler{
		SFN: clientOf(w.service), ARN: machine, Cursors: w.records,
		Logger: slog.New(slog.DiscardHandler), Now: time.Now, Salt: salt,
	}
}

func (w *world) engine(s store.Store, drive func(...handoff.Key), inFunction bool) *delivery.Engine {
	return &delivery.Engine{
		Store: s, Log: w.log, Sinks: sinks{w, s, inFunction}, Settings: w.settings, Lifecycle: w.life,
		Logger: slog.New(slog.DiscardHandler), Now: time.Now, Rand: rand.New(source{}), Drive: drive,
	}
}

// sweep is the function of that name on its schedule.
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
		n, err := w.engine(w.records, scheduler.Drive, false).Sweep(w.ctx)
		scheduler.Wait()
		if err != nil {
			w.t.Errorf("sweep: %v", err)
		}
		w.mu.Lock()
		w.overdue += n
		w.mu.Unlock()
	}
}

// advance is the function of that name.
func (w *world) advance(_ context.Context, payload []byte) ([]byte, string, error) {
	w.mu.Lock()
	fault := w.fault()
	w.most = max(w.most, running(w.t, w.service))
	w.mu.Unlock()
	if fault != nil {
		return []byte(`{"errorType":"Unavailable","errorMessage":"` + fault.Error() + `"}`), "Unhandled", nil
	}
	var state statemachine.State
	if err := json.Unmarshal(payload, &state); err != nil {
		w.t.Errorf("the function was given %s: %v", payload, err)
	}
	records := &mortal{Store: w.records}
	scheduler := w.scheduler("")
	driver := statemachine.Driver{Advance: w.engine(records, scheduler.Drive, true).Advance, Cursors: records, Now: time.Now}
	next, err := driver.Step(w.ctx, state)
	scheduler.Wait()
	if records.isDead() {
		return []byte(`{"errorType":"Runtime.ExitError","errorMessage":"signal: killed"}`), "Unhandled", nil
	}
	if err != nil {
		return []byte(`{"errorType":"Error","errorMessage":"the step failed"}`), "Unhandled", nil
	}
	result, err := json.Marshal(next)
	return result, "", err
}

// mortal is the store as a process sees it that may be killed: from then on it
// does nothing more.
type mortal struct {
	store.Store
	mu   sync.Mutex
	dead bool
}

func (m *mortal) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
}

func (m *mortal) isDead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

func (m *mortal) Commit(ctx context.Context, writes ...store.Write) error {
	if m.isDead() {
		return problem.New(problem.Unavailable, "killed")
	}
	return m.Store.Commit(ctx, writes...)
}

// sinks are the receivers.
type sinks struct {
	w          *world
	records    store.Store
	inFunction bool
}

func (s sinks) Webhook(context.Context, *integration.Integration) (delivery.Sender, error) {
	return s, nil
}

func (s sinks) S3(context.Context, *integration.Integration) (delivery.Exporter, error) {
	return nil, problem.New(problem.Internal, "there is no bucket here")
}

func (s sinks) Send(_ context.Context, e *event.Event, _ int) delivery.Verdict {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	v := s.w.answer()
	if v.Outcome == delivery.Delivered {
		s.w.got[e.ID]++
	}
	if m, ok := s.records.(*mortal); ok && s.w.kill {
		s.w.kill = false
		m.kill()
	}
	return v
}

// plain seals nothing.
type plain struct{}

func (plain) Seal(_ context.Context, _ secret.Owner, s secret.String) (secret.Sealed, error) {
	return secret.Sealed{Ciphertext: []byte(s.Reveal()), Mask: s.Mask()}, nil
}

func (plain) Open(_ context.Context, _ secret.Owner, s secret.Sealed) (secret.String, error) {
	return secret.NewString(string(s.Ciphertext)), nil
}

// source is the randomness of math/rand/v2's own functions.
type source struct{}

func (source) Uint64() uint64 { return rand.Uint64() }

func (w *world) publish(n int) {
	w.t.Helper()
	var drafts []event.Draft
	w.mu.Lock()
	for range n {
		drafts = append(drafts, event.Draft{ID: fmt.Sprintf("e%06d", w.next), Name: "order.created", Payload: []byte(`{}`)})
		w.next++
	}
	w.mu.Unlock()
	if err := w.log.Publish(w.ctx, tenant, w.settings.Lanes, drafts); err != nil {
		w.t.Fatal(err)
	}
}

// register registers the integration orders, which starts at once.
func (w *world) register() {
	w.t.Helper()
	if _, err := w.life.Register(w.ctx, tenant, integration.Spec{
		ID: "orders", Type: integration.Permanent, Webhook: &integration.WebhookSpec{URL: "https://example.com/"},
	}); err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(time.Minute)
}

// set changes the world.
func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// wantAll fails unless every event arrived, most times at most, and the
// integration follows with no execution left.
func (w *world) wantAll(most int) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	for i := range w.next {
		if n := w.got[fmt.Sprintf("e%06d", i)]; n < 1 || n > most {
			w.t.Errorf("event %d arrived %d times", i, n)
		}
	}
	w.mu.Unlock()
	c, err := w.records.Cursor(w.ctx, handoff.Key{Tenant: tenant, Integration: "orders"})
	if err != nil || c.State != handoff.Following {
		w.t.Errorf("in the end %+v, %v", c, err)
	}
	if n := running(w.t, w.service); n != 0 {
		w.t.Errorf("in the end %d executions run", n)
	}
}

// statuses counts the executions.
func (w *world) statuses() map[asl.Status]int {
	n := map[asl.Status]int{}
	for _, x := range executions(w.t, w.service) {
		n[x.Status]++
	}
	return n
}
