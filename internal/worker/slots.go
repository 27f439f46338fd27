package worker

import (
	"slices"
	"sync"
)

// Slots limits the calls in flight of one integration. Its workers in all lanes
// share it. It is safe for concurrent use.
type Slots struct {
	size int

	mu      sync.Mutex
	free    int
	waiting []*Worker // for a slot, in order
}

// NewSlots returns slots for size calls at a time.
func NewSlots(size int) *Slots { return &Slots{size: size, free: size} }

// take reserves a slot for one call. If none is free, it returns false and the
// worker is resumed when one is.
func (s *Slots) take(w *Worker) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free > 0 {
		s.free--
		return true
	}
	if !slices.Contains(s.waiting, w) {
		s.waiting = append(s.waiting, w)
	}
	return false
}

// wanted reports whether another lane waits for a slot.
func (s *Slots) wanted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) > 0
}

// give frees a slot and resumes workers that wait for one. The caller must not
// hold the lock of a worker.
func (s *Slots) give() {
	s.mu.Lock()
	s.free++
	s.mu.Unlock()
	for w := s.next(); w != nil; w = s.next() {
		w.resume()
	}
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
