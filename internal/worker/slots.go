package worker

import (
	"slices"
	"sync"
)

// Slots is the window of calls of one integration, shared by its workers in all
// lanes: a receiver is promised no more calls at a time than the setting. It is
// safe for concurrent use.
type Slots struct {
	size int

	mu      sync.Mutex
	free    int
	waiting []*Worker // found no slot for what they have to send, in turn
}

// NewSlots returns a window of so many calls.
func NewSlots(size int) *Slots { return &Slots{size: size, free: size} }

// take reserves a slot for one call, or has the worker resume when one is free.
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

// give returns a slot and lets those resume that wait for one. No lock of a
// worker may be held.
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
