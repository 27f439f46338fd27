package delivery_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/lanes"
	"github.com/sluicehq/sluice/internal/lifecycle"
	"github.com/sluicehq/sluice/internal/rejected"
	"github.com/sluicehq/sluice/internal/runner"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/skip"
	"github.com/sluicehq/sluice/internal/worker"
)

// process is one process with an engine: it delivers live, advances cursors and
// sweeps, until it crashes or shuts down.
type process struct {
	w        *world
	slot     int
	engine   *delivery.Engine
	life     *lifecycle.Service
	lanes    *lanes.Service
	registry *worker.Registry
	rejects  *rejected.Service
	skips    *skip.Service
	steps    [delivery.Kinds]*fairshare.Limiter
	turns    *fairshare.Limiter // nil: not bounded
	logger   *slog.Logger
	sinks    openSinks
	unsaved  bool            // the runner saves no failed attempts
	ctx      context.Context // ends when a shutdown begins
	end      context.CancelFunc
	dead     chan struct{} // closed by a crash
	die      sync.Once

	gate   sync.Mutex
	closed bool // no goroutine may start any more
	work   sync.WaitGroup

	starting  sync.Once
	scheduler *runner.Scheduler
	runner    *runner.Runner

	mu    sync.Mutex
	grows []func() // growth that was not noticed yet
}

// dieSource makes a rand.Source safe for concurrent use.
type dieSource struct {
	mu  sync.Mutex
	src rand.Source
}

func (s *dieSource) Uint64() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.src.Uint64()
}

func newProcess(w *world, slot int) *process {
	p := &process{w: w, slot: slot, dead: make(chan struct{}), scheduler: runner.NewScheduler()}
	p.bound(unbounded)
	p.ctx, p.end = context.WithCancel(context.Background())
	p.compose(sinks{p}, slog.New(slog.DiscardHandler))
	return p
}

// compose makes the engine and what it depends on.
func (p *process) compose(sinks sink.Sinks, logger *slog.Logger) {
	w := p.w
	p.logger = logger
	quietAfter := delivery.QuietAfter(w.settings)
	var calls *worker.Calls
	if w.settings.MaxCalls > 0 {
		calls = worker.NewCalls(w.settings.MaxCalls)
	}
	var reads *fairshare.Limiter
	if w.Bound > 0 {
		reads = fairshare.New(w.Bound)
		p.bound(w.Bound)
		p.turns = fairshare.New(w.Bound)
	}
	p.registry = worker.NewRegistry(worker.Options{
		Sinks: sinks, InFlight: w.settings.InFlight, Calls: calls, QuietAfter: quietAfter, Logger: logger, Now: p.now,
	})
	p.life = &lifecycle.Service{
		Store: ports{p: p}, Log: ports{p: p}, Sealer: plain{}, Settings: w.settings,
		Now: w.now, CheckTarget: func(context.Context, string) error { return nil },
		Schedule: p.schedule, QuietAfter: quietAfter,
	}
	p.lanes = &lanes.Service{Store: ports{p: p}, Grow: p.life.GrowLanes, Settings: w.settings, Logger: logger, Now: p.w.now}
	if w.Quiesce {
		p.life.Quiesce, p.life.Retire = p.registry.Quiesce, p.registry.Retire
	}
	p.rejects = rejected.New(rejected.Options{
		Store: ports{p: p}, Integrations: p.life, Targets: p.registry, Settings: w.settings, Logger: logger, Now: p.now,
	})
	p.engine = &delivery.Engine{
		Store: ports{p: p}, Log: ports{p: p}, Registry: p.registry, Rejected: p.rejects, Lifecycle: p.life, Settings: w.settings,
		Logger: logger, Now: p.now,
		Rand:     rand.New(&dieSource{src: rand.NewPCG(w.Seed, uint64(p.slot))}),
		Schedule: p.schedule, BatchBytes: w.ReadEvents * eventSize,
		Reads: reads, StepBudget: w.StepBudget, Grace: w.settings.WebhookTimeout + 5*time.Second,
	}
	p.tell()
	p.skips = &skip.Service{
		Store: p.engine.Store, Log: ports{p: p}, Integrations: p.life, Rejected: p.rejects,
		Cursors: p.engine, Schedule: p.schedule, Now: p.now, KeepDeliveries: w.settings.DeliveryRetention,
	}
	if w.Sole {
		p.engine.SoleOwner = delivery.NewSoleOwner(w.now())
		p.life.Newest = p.engine.SoleOwner.Newest
	}
}

// unbounded is more than any case has.
const unbounded = 1 << 20

// bound bounds the steps of each kind at a time.
func (p *process) bound(n int) {
	for kind := range p.steps {
		p.steps[kind] = fairshare.New(n)
	}
}

// plain does not encrypt: no integration of a case has a real secret.
type plain struct{}

func (plain) Seal(_ context.Context, _ secret.Owner, s secret.String) (secret.Sealed, error) {
	return secret.Sealed{Ciphertext: []byte(s.Reveal()), Mask: s.Mask()}, nil
}

func (plain) Open(_ context.Context, _ secret.Owner, s secret.Sealed) (secret.String, error) {
	return secret.NewString(string(s.Ciphertext)), nil
}

func (plain) Outdated(secret.Owner, secret.Sealed) bool { return false }

func (p *process) crash() {
	p.die.Do(func() { close(p.dead) })
	p.end()
}

func (p *process) isDead() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

// now is the engine's clock. Growth of the log may become visible just when the
// engine reads the clock, which it does between its steps.
func (p *process) now() time.Time {
	p.mu.Lock()
	grows := p.grows
	p.grows = nil
	p.mu.Unlock()
	for _, grow := range grows {
		grow()
	}
	return p.w.now()
}

// start starts the runner of a node, which runs until the process ends.
func (p *process) start() {
	p.starting.Do(func() {
		p.runner = runner.Start(p.runs(), p.scheduler, &runner.Places{Steps: p.steps, Turns: p.turns}, p.logger)
		p.goes(func() {
			<-p.ctx.Done()
			p.runner.Stop()
		})
	})
}

// runs returns what the runner runs.
func (p *process) runs() runner.Engine {
	if p.unsaved {
		return unsaving{p.engine}
	}
	return unhurried{p.engine, p}
}

// unhurried is an engine whose results reach the runner some time after the last thing
// that it did: the log may have grown, and the cursor changed.
type unhurried struct {
	*delivery.Engine
	p *process
}

func (p *process) linger(ctx context.Context, kind, key string) {
	d := p.w.dice(kind, key)
	long := p.w.latency(d)
	if d.IntN(4) == 0 && !p.w.quietTime() {
		long = time.Duration(d.Int64N(int64(3 * time.Second)))
	}
	_ = p.sleep(ctx, long)
}

func (u unhurried) DeliverLive(ctx context.Context, part event.Partition, end *delivery.LogEnd) error {
	err := u.Engine.DeliverLive(ctx, part, end)
	u.p.linger(ctx, "delivered live", lane(part))
	return err
}

func (u unhurried) AdvanceIn(ctx context.Context, k handoff.Key, place *delivery.Place) (delivery.Next, error) {
	next, err := u.Engine.AdvanceIn(ctx, k, place)
	u.p.linger(ctx, "advanced", cursor(k))
	return next, err
}

// unsaving is an engine whose test says when failed attempts are saved.
type unsaving struct{ *delivery.Engine }

func (unsaving) SaveEntries(context.Context) error  { return nil }
func (unsaving) SaveAttempts(context.Context) error { return nil }

// grow tells the runner the new end of a partition's log: at once, or when the engine
// next reads the clock.
func (p *process) grow(part event.Partition, end uint64) {
	p.start()
	grow := func() { p.scheduler.Grown(part, end) }
	d := p.w.dice("grow", lane(part))
	if d.IntN(2) == 0 {
		grow()
		return
	}
	p.mu.Lock()
	p.grows = append(p.grows, grow)
	p.mu.Unlock()
	p.goes(func() {
		_ = p.sleep(p.ctx, 50*time.Millisecond)
		grow()
	})
}

// goes runs f, unless the process has ended.
func (p *process) goes(f func()) {
	p.gate.Lock()
	defer p.gate.Unlock()
	if !p.closed {
		p.work.Go(f)
	}
}

// schedule tells the runner about cursors. Some calls are lost.
func (p *process) schedule(keys ...handoff.Key) {
	p.start()
	for _, k := range keys {
		d := p.w.dice("schedule", cursor(k))
		if p.w.chance(d, p.w.LossRate, false) {
			continue
		}
		p.scheduler.Schedule(k)
		if d.IntN(10) == 0 && !p.w.quietTime() { // two at once do no harm
			p.goes(func() { p.advance(k) })
		}
	}
}

// advance advances a cursor beside the runner, until there is nothing to do at once.
func (p *process) advance(k handoff.Key) {
	for {
		next, err := p.engine.Advance(p.ctx, k)
		if err != nil || p.ctx.Err() != nil || next.Done || next.Wait > 0 {
			return
		}
	}
}

// run runs a process: it boots, sweeps, and shuts down.
func (p *process) run() {
	p.start()
	p.goes(func() {
		for p.sleep(p.ctx, 3*time.Second+p.w.latency(p.w.dice("save", ""))) == nil {
			_, _ = p.engine.SaveEntries(p.ctx), p.engine.SaveAttempts(p.ctx)
		}
	})
	if p.boot() {
		for p.w.Sweeps && p.sleep(p.ctx, 19*time.Second+p.w.latency(p.w.dice("sweep", ""))) == nil {
			_, _ = p.engine.Sweep(p.ctx)
		}
	}
	<-p.ctx.Done()
	p.gate.Lock()
	p.closed = true
	p.gate.Unlock()
	p.work.Wait()
	// What advanced or saved cursors beside the runner may have held them when it saved.
	_, _ = p.engine.SaveEntries(context.Background()), p.engine.SaveAttempts(context.Background())
}

// boot resumes what an earlier process left, as a node does. Where several processes
// share the store, each starts live delivery in its partitions, and the sweep finds the
// cursors.
func (p *process) boot() bool {
	o := ports{p: p}
	for {
		err := p.resume(o)
		if p.ctx.Err() != nil {
			return false
		}
		if err == nil {
			return true
		}
	}
}

func (p *process) resume(o ports) error {
	ends := map[event.Partition]uint64{}
	for _, part := range p.w.partitions() {
		if !p.w.servesLive(p.slot, part) {
			continue
		}
		end, err := o.End(p.ctx, part)
		if err != nil {
			return err
		}
		if end > 0 {
			ends[part] = end
		}
	}
	if p.w.Sole {
		return runner.Resume(p.ctx, p.scheduler, o, ends, p.w.now())
	}
	return runner.Resume(p.ctx, p.scheduler, noneDue{o}, ends, p.w.now())
}

// noneDue is a store whose cursors are left to the sweep.
type noneDue struct{ ports }

func (noneDue) Due(context.Context, time.Time, int) ([]handoff.Key, error) { return nil, nil }
