package worker

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/sink"
)

// Options are what a Registry needs. All but Observer are required.
type Options struct {
	Sinks    sink.Sinks
	InFlight int // calls at a time to one integration, SLUICE_IN_FLIGHT
	// QuietAfter is how long after a stop an actor that read the state before it
	// may still try to begin.
	QuietAfter time.Duration
	Observer   Observer
	Logger     *slog.Logger
	Now        func() time.Time
}

// Registry knows the open sinks of this process, and everything in it that
// emits: so a stop need not wait for deadlines where there is no other process.
// It is safe for concurrent use.
type Registry struct {
	options Options
	targets targets

	mu      sync.Mutex
	active  map[id]map[*activity]struct{}
	stopped map[id]stop // what may not begin any more
}

// id names an integration.
type id struct{ tenant, integration string }

// stop says that nothing below the generation may begin. It is kept for as long
// as an actor that read the state before may try to.
type stop struct {
	below uint64
	until time.Time
}

// activity is something that emits for one generation of an integration.
type activity struct {
	generation uint64
	halt       func()        // it begins nothing more
	abandon    func()        // and ends what is in flight
	ended      chan struct{} // closed when it can emit no more
}

// NewRegistry returns an empty registry.
func NewRegistry(o Options) *Registry {
	return &Registry{
		options: o,
		active:  make(map[id]map[*activity]struct{}),
		stopped: make(map[id]stop),
	}
}

// Begin registers something that emits. It reports false where the generation
// was stopped already. end must be called when nothing can be emitted any more.
func (r *Registry) Begin(tenant, integration string, generation uint64, halt, abandon func()) (end func(), ok bool) {
	key := id{tenant, integration}
	r.mu.Lock()
	defer r.mu.Unlock()
	if generation < r.stopped[key].below {
		return nil, false
	}
	if r.active[key] == nil {
		r.active[key] = make(map[*activity]struct{})
	}
	a := &activity{generation: generation, halt: halt, abandon: abandon, ended: make(chan struct{})}
	r.active[key][a] = struct{}{}
	return func() { r.end(key, a) }, true
}

func (r *Registry) end(key id, a *activity) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.active[key], a)
	if len(r.active[key]) == 0 {
		delete(r.active, key)
	}
	close(a.ended)
}

// quiesceGrace is how long calls in flight may go on when their integration is
// stopped. Most end in that time, and what the receiver made of them is known.
const quiesceGrace = 2 * time.Second

// Quiesce ends everything in this process that emits for a generation of the
// integration below the given one, lets nothing of it begin again, and returns
// true when nothing is left; false if ctx ended first. Calls in flight get a
// moment to end by themselves.
func (r *Registry) Quiesce(ctx context.Context, tenant, integration string, generation uint64) bool {
	old := r.stop(id{tenant, integration}, generation)
	for _, a := range old {
		a.halt()
	}
	grace := time.NewTimer(quiesceGrace)
	defer grace.Stop()
	for _, a := range old {
		select {
		case <-a.ended:
			continue
		case <-grace.C:
			for _, a := range old {
				a.abandon()
			}
		case <-ctx.Done():
			return false
		}
		select {
		case <-a.ended:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// stop lets nothing below the generation begin, forgets the secrets that it
// used, and returns what has begun.
func (r *Registry) stop(key id, generation uint64) []*activity {
	r.targets.forget(key, generation)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.options.Now()
	maps.DeleteFunc(r.stopped, func(_ id, s stop) bool { return s.until.Before(now) })
	r.stopped[key] = stop{below: max(r.stopped[key].below, generation), until: now.Add(r.options.QuietAfter)}
	var old []*activity
	for a := range r.active[key] {
		if a.generation < generation {
			old = append(old, a)
		}
	}
	return old
}
