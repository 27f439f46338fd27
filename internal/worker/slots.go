package worker

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sluicehq/sluice/internal/fairshare"
)

// Slots limits the calls in flight of one integration, each of which also has one of
// the process's places. Its workers in all lanes share it. It is safe for concurrent
// use.
type Slots struct {
	size   int
	tenant string
	calls  *Calls
	// responding says that the receiver responded to the last attempt, with a delivery
	// or a rejection.
	responding atomic.Bool

	mu      sync.Mutex
	free    int
	waiting []*Worker // for a slot, in order
	// unproven are the workers that wait for a place among receivers that may hang. They
	// ask again once theirs responds.
	unproven map[*Worker]struct{}
}

// NewSlots returns slots for size calls at a time to an integration of the tenant.
func NewSlots(size int, tenant string, calls *Calls) *Slots {
	return &Slots{size: size, free: size, tenant: tenant, calls: calls, unproven: make(map[*Worker]struct{})}
}

// take reserves a slot and a place for one call, and returns the place. If there is
// no slot, the worker is resumed when there is one; if there is no place, its waiter
// is granted one, which it then claims with a slot. w.mu is held.
func (s *Slots) take(w *Worker) (place *fairshare.Limiter, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.available(w) {
		return nil, false
	}
	responding := s.responding.Load()
	place = s.calls.of(responding)
	if !place.Take(s.tenant, &w.waiter) {
		w.awaited = place
		if !responding {
			s.unproven[w] = struct{}{}
		}
		return nil, false
	}
	s.free--
	return place, true
}

// claim reserves a slot for a place that was granted. If none is free, the worker is
// resumed when one is. w.mu is held.
func (s *Slots) claim(w *Worker) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.available(w) {
		return false
	}
	s.free--
	return true
}

// available reports whether a slot is free. If not, the worker waits for one.
func (s *Slots) available(w *Worker) bool {
	if s.free == 0 && !slices.Contains(s.waiting, w) {
		s.waiting = append(s.waiting, w)
	}
	return s.free > 0
}

// wanted reports whether another lane waits for a slot.
func (s *Slots) wanted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) > 0
}

// give releases a slot and its place, and resumes workers that wait for them. The
// caller must not hold the lock of a worker.
func (s *Slots) give(place *fairshare.Limiter) {
	s.mu.Lock()
	s.free++
	s.mu.Unlock()
	place.Give(s.tenant)
	for w := s.next(); w != nil; w = s.next() {
		w.resume()
	}
	for _, w := range s.proven() {
		w.askAgain()
	}
}

// proven returns the workers that wait among receivers that may hang although theirs
// responds.
func (s *Slots) proven() []*Worker {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.responding.Load() {
		return nil
	}
	return slices.Collect(maps.Keys(s.unproven))
}

// left records that a worker does not wait for a place any more.
func (s *Slots) left(w *Worker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.unproven, w)
}

func (s *Slots) next() *Worker {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free == 0 || len(s.waiting) == 0 {
		return nil
	}
	w := s.waiting[0]
	s.waiting = s.waiting[1:]
	return w
}
