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
	"github.com/sluicehq/sluice/internal/lifecycle"
	"github.com/sluicehq/sluice/internal/rejected"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/worker"
)

// process is one process with an engine: it delivers live, advances cursors and
// sweeps, until it crashes or shuts down.
type process struct {
	w        *world
	slot     int
	engine   *delivery.Engine
	life     *lifecycle.Service
	registry *worker.Registry
	rejects  *rejected.Service
	steps    [delivery.Kinds]*fairshare.Limiter // nil: not bounded
	ctx      context.Context                    // ends when a shutdown begins
	end      context.CancelFunc
	dead     chan struct{} // closed by a crash
	die      sync.Once

	gate   sync.Mutex
	closed bool // no goroutine may start any more
	work   sync.WaitGroup

	mu        sync.Mutex
	sessions  map[event.Partition]*session
	scheduled map[handoff.Key]chan struct{} // poked to check again
	grows     []func()                      // growth that was not noticed yet
}

// session is the live loop of a partition: one DeliverLive after another.
type session struct {
	end  *delivery.LogEnd
	kick chan struct{}
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
	p := &process{
		w: w, slot: slot, dead: make(chan struct{}),
		sessions: map[event.Partition]*session{}, scheduled: map[handoff.Key]chan struct{}{},
	}
	p.ctx, p.end = context.WithCancel(context.Background())
	p.compose(sinks{p}, slog.New(slog.DiscardHandler))
	return p
}

// compose makes the engine and what it depends on.
func (p *process) compose(sinks sink.Sinks, logger *slog.Logger) {
	w := p.w
	quietAfter := delivery.QuietAfter(w.settings)
	var calls *worker.Calls
	if w.settings.MaxCalls > 0 {
		calls = worker.NewCalls(w.settings.MaxCalls)
	}
	var reads *fairshare.Limiter
	if w.Bound > 0 {
		reads = fairshare.New(w.Bound)
		p.bound(w.Bound)
	}
	p.registry = worker.NewRegistry(worker.Options{
		Sinks: sinks, InFlight: w.settings.InFlight, Calls: calls, QuietAfter: quietAfter, Logger: logger, Now: p.now,
	})
	p.life = &lifecycle.Service{
		Store: ports{p: p, user: true}, Log: ports{p: p, user: true}, Sealer: plain{}, Settings: w.settings,
		Now: time.Now, CheckTarget: func(context.Context, string) error { return nil },
		Schedule: p.schedule, QuietAfter: quietAfter,
	}
	if w.Quiesce {
		p.life.Quiesce = p.registry.Quiesce
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
	if w.Sole {
		p.engine.SoleOwner = delivery.NewSoleOwner(time.Now())
	}
}

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
	return time.Now()
}

// grow tells the live loop of a partition the new end of its log: at once, or when
// the engine next reads the clock.
func (p *process) grow(part event.Partition, end uint64) {
	s := p.session(part)
	grow := func() {
		s.end.Grow(end)
		select {
		case s.kick <- struct{}{}:
		default:
		}
	}
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

func (p *process) session(part event.Partition) *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sessions[part]
	if s == nil {
		s = &session{end: delivery.NewLogEnd(0), kick: make(chan struct{}, 1)}
		p.sessions[part] = s
		p.goes(func() { p.deliverLive(part, s) })
	}
	return s
}

func (p *process) deliverLive(part event.Partition, s *session) {
	for {
		select {
		case <-s.kick:
		case <-p.ctx.Done():
			return
		}
		for p.engine.DeliverLive(p.ctx, part, s.end) != nil {
			if p.sleep(p.ctx, 100*time.Millisecond+p.w.latency(p.w.dice("deliver again", lane(part)))) != nil {
				return
			}
		}
		if p.ctx.Err() != nil {
			return
		}
	}
}

// schedule is the scheduler: for each cursor it starts a goroutine that advances it,
// or wakes that goroutine. Some calls are lost.
func (p *process) schedule(keys ...handoff.Key) {
	for _, k := range keys {
		d := p.w.dice("schedule", cursor(k))
		if p.w.chance(d, p.w.LossRate, false) {
			continue
		}
		p.mu.Lock()
		poke := p.scheduled[k]
		if poke == nil && p.ctx.Err() == nil {
			poke = make(chan struct{}, 1)
			p.scheduled[k] = poke
			p.goes(func() { p.advance(k, poke, true) })
		}
		p.mu.Unlock()
		select {
		case poke <- struct{}{}:
		default:
		}
		if d.IntN(10) == 0 && !p.w.quietTime() { // two at once do no harm
			p.goes(func() { p.advance(k, make(chan struct{}), false) })
		}
	}
}

// advance calls Advance until Next is Done or, if the goroutine is not listed,
// until there is nothing to do at once.
func (p *process) advance(k handoff.Key, poke chan struct{}, listed bool) {
	d := p.w.dice("advance", cursor(k))
	kind := delivery.CatchUp
	for {
		next, err := p.step(k, kind)
		kind = next.Kind
		switch {
		case p.ctx.Err() != nil, !listed && next.Wait > 0:
			return
		case err != nil && (!listed || p.w.chance(d, p.w.LossRate, false)):
			p.forget(k, listed)
			return
		case err != nil:
			next.Wait = 200*time.Millisecond + p.w.latency(d)
		case next.Done:
			select {
			case <-poke:
				continue
			default:
			}
			p.forget(k, listed)
			return
		}
		timer := time.NewTimer(next.Wait)
		select {
		case <-timer.C:
		case <-poke:
		case <-p.ctx.Done():
		}
		timer.Stop()
	}
}

// step runs one step of a cursor, once there is a place for it.
func (p *process) step(k handoff.Key, kind delivery.Kind) (delivery.Next, error) {
	places := p.steps[kind]
	if places == nil {
		return p.engine.Advance(p.ctx, k)
	}
	if err := places.Acquire(p.ctx, k.Tenant); err != nil {
		return delivery.Next{}, err
	}
	place := delivery.NewPlace(kind, places, k.Tenant)
	defer place.GiveBack()
	return p.engine.AdvanceIn(p.ctx, k, place)
}

func (p *process) forget(k handoff.Key, listed bool) {
	if listed {
		p.mu.Lock()
		delete(p.scheduled, k)
		p.mu.Unlock()
	}
}

// run runs a process: it boots, sweeps, and shuts down.
func (p *process) run() {
	p.goes(func() {
		for p.sleep(p.ctx, 3*time.Second+p.w.latency(p.w.dice("save", ""))) == nil {
			p.saveOutages(p.ctx)
		}
	})
	if p.boot() {
		for p.sleep(p.ctx, 19*time.Second+p.w.latency(p.w.dice("sweep", ""))) == nil {
			_, _ = p.engine.Sweep(p.ctx)
		}
	}
	<-p.ctx.Done()
	p.gate.Lock()
	p.closed = true
	p.gate.Unlock()
	p.work.Wait()
	p.engine.Wait()
	p.saveOutages(context.Background())
}

func (p *process) saveOutages(ctx context.Context) {
	_, _ = p.engine.SaveEntries(ctx), p.engine.SaveAttempts(ctx)
}

// boot starts live delivery in every partition whose log is past the low watermark.
func (p *process) boot() bool {
	o := ports{p: p}
	for lane := range p.w.Lanes {
		part := event.Partition{Tenant: tenant, Lane: lane}
		if !p.w.servesLive(p.slot, part) {
			continue
		}
		for {
			end, err := o.End(p.ctx, part)
			r, err2 := o.Partition(p.ctx, part)
			if p.ctx.Err() != nil {
				return false
			}
			if err == nil && err2 == nil {
				if end > r.LowWatermark {
					p.grow(part, end)
				}
				break
			}
		}
	}
	return true
}
