package worker

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/internal/sink"
)

// Options are what a Registry needs. All but Calls, Idle and Observer are required.
type Options struct {
	Sinks    sink.Sinks
	InFlight int    // calls at a time to one integration, SLUICE_IN_FLIGHT
	Calls    *Calls // calls at a time to all of them, SLUICE_MAX_CALLS; nil for no bound
	// Idle bounds the memory, in bytes, for open sinks that nobody uses, of integrations
	// that have nothing to send or are deleted; 0 for 64 MiB.
	Idle int
	// QuietAfter is how long after a stop an actor that read the state before the
	// stop may still try to begin.
	QuietAfter time.Duration
	Observer   Observer
	Logger     *slog.Logger
	Now        func() time.Time
}

// Registry tracks the open sinks of this process and everything in it that sends,
// so that a stop need not wait for deadlines if this is the only process. It is
// safe for concurrent use.
type Registry struct {
	options Options
	targets targets

	shortLogged atomic.Int64 // when a shortage of this process was last logged, in Unix nanoseconds

	mu      sync.Mutex
	active  map[id]map[*activity]struct{}
	stopped map[id]stop // generations that may not begin any more
}

// id identifies an integration.
type id struct{ tenant, integration string }

// stop keeps generations below the given one from beginning, for as long as an
// actor that read the state before the stop may try to.
type stop struct {
	below uint64
	until time.Time
}

// activity is something that sends for one generation of an integration.
type activity struct {
	generation uint64
	halt       func()        // start no more calls
	abandon    func()        // and cancel those in flight
	ended      chan struct{} // closed when it can send nothing more
}

// NewRegistry returns an empty registry.
func NewRegistry(o Options) *Registry {
	return &Registry{
		options: o,
		targets: newTargets(o.Idle),
		active:  make(map[id]map[*activity]struct{}),
		stopped: make(map[id]stop),
	}
}

// Begin registers something that sends. It returns false if the generation was
// stopped already. Call end once nothing can be sent any more.
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

// Retire keeps generations below the given one from beginning. It is Quiesce for a caller
// that has begun and has ended its calls itself: it halts nothing and waits for nothing,
// and reports whether nothing but the caller can still send.
func (r *Registry) Retire(tenant, integration string, generation uint64) bool {
	return len(r.stop(id{tenant, integration}, generation)) <= 1
}

// Close gives back the connections that no call uses.
func (r *Registry) Close() {
	for _, t := range r.targets.all() {
		t.close()
	}
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

// quiesceGrace is how long calls in flight may go on after their integration was
// stopped. Most end in that time, so their outcome is known.
const quiesceGrace = 2 * time.Second

// Quiesce ends everything in this process that sends for the integration with a
// generation below the given one, and keeps it from beginning again. Calls in
// flight have 2 s to finish, then they are cancelled. It returns true once nothing
// is left, false if ctx ends first.
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

// stop keeps generations below the given one from beginning, forgets their
// secrets and idle connections, and returns their activities.
func (r *Registry) stop(key id, generation uint64) []*activity {
	if t := r.targets.forget(key, generation); t != nil {
		t.close()
	}
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
