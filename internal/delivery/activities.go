package delivery

import (
	"context"
	"maps"
	"sync"
	"time"
)

// activities knows what this process is emitting, so that a stop need not wait
// for deadlines where there is no other process.
type activities struct {
	mu    sync.Mutex
	byID  map[targetKey]map[*activity]struct{}
	ended map[targetKey]ended // what may not begin any more
}

// ended says that no activity below the generation may begin. It is kept for as
// long as an actor that read the state before may try to.
type ended struct {
	below uint64
	until time.Time
}

// activity is something that emits for one generation of an integration.
type activity struct {
	generation uint64
	halt       func()        // it begins nothing more
	abandon    func()        // and ends what is under way
	ended      chan struct{} // closed when it can emit no more
}

// begin registers an activity. It reports false where the generation was ended
// already. end must be called when nothing can be emitted any more.
func (a *activities) begin(tenant, id string, generation uint64, halt, abandon func()) (end func(), ok bool) {
	key := targetKey{tenant, id}
	a.mu.Lock()
	defer a.mu.Unlock()
	if generation < a.ended[key].below {
		return nil, false
	}
	if a.byID == nil {
		a.byID = make(map[targetKey]map[*activity]struct{})
	}
	if a.byID[key] == nil {
		a.byID[key] = make(map[*activity]struct{})
	}
	act := &activity{generation: generation, halt: halt, abandon: abandon, ended: make(chan struct{})}
	a.byID[key][act] = struct{}{}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.byID[key], act)
		if len(a.byID[key]) == 0 {
			delete(a.byID, key)
		}
		close(act.ended)
	}, true
}

// quiesceGrace is how long calls under way may go on when their integration is
// stopped. Most end in that time, and what the receiver made of them is known.
const quiesceGrace = 2 * time.Second

// Quiesce ends everything in this process that emits for a generation of the
// integration below the given one, lets none begin again, and returns true when
// none is left; false if ctx ended first. Calls under way get a moment to end by
// themselves.
func (e *Engine) Quiesce(ctx context.Context, tenant, id string, generation uint64) bool {
	old := e.forbid(tenant, id, generation)
	for _, act := range old {
		act.halt()
	}
	grace := time.NewTimer(quiesceGrace)
	defer grace.Stop()
	for _, act := range old {
		select {
		case <-act.ended:
			continue
		case <-grace.C:
			for _, act := range old {
				act.abandon()
			}
		case <-ctx.Done():
			return false
		}
		select {
		case <-act.ended:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// forbid lets no activity below the generation begin, forgets the secrets that
// they used, and returns those that have begun.
func (e *Engine) forbid(tenant, id string, generation uint64) []*activity {
	key := targetKey{tenant, id}
	e.targets.mu.Lock()
	if t := e.targets.open[key]; t != nil && t.in.Generation < generation {
		delete(e.targets.open, key)
	}
	e.targets.mu.Unlock()
	a := &e.activities
	a.mu.Lock()
	defer a.mu.Unlock()
	now := e.Now()
	maps.DeleteFunc(a.ended, func(_ targetKey, x ended) bool { return x.until.Before(now) })
	if a.ended == nil {
		a.ended = make(map[targetKey]ended)
	}
	a.ended[key] = ended{below: max(a.ended[key].below, generation), until: now.Add(e.QuietAfter())}
	var old []*activity
	for act := range a.byID[key] {
		if act.generation < generation {
			old = append(old, act)
		}
	}
	return old
}
