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
	abandon    func()        // ends it soon
	ended      chan struct{} // closed when it can emit no more
}

// begin registers an activity. It reports false where the generation was ended
// already. end must be called when nothing can be emitted any more.
func (a *activities) begin(tenant, id string, generation uint64, abandon func()) (end func(), ok bool) {
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
	act := &activity{generation: generation, abandon: abandon, ended: make(chan struct{})}
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

// Quiesce ends everything in this process that emits for a generation of the
// integration below the given one, lets none begin again, and returns true when
// none is left; false if ctx ended first.
func (e *Engine) Quiesce(ctx context.Context, tenant, id string, generation uint64) bool {
	a, key := &e.activities, targetKey{tenant, id}
	a.mu.Lock()
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
	a.mu.Unlock()
	for _, act := range old {
		act.abandon()
	}
	for _, act := range old {
		select {
		case <-act.ended:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
