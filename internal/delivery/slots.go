package delivery

import (
	"slices"
	"sync"
)

// slots bounds the calls under way to one integration, over all its lanes.
type slots struct {
	mu      sync.Mutex
	free    int
	waiting []*rider // that have something to send and found no slot, in turn
}

// take gives the rider a slot, or puts it in the queue.
func (s *slots) take(r *rider) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free > 0 {
		s.free--
		return true
	}
	if !slices.Contains(s.waiting, r) {
		s.waiting = append(s.waiting, r)
	}
	return false
}

// wanted reports whether another rider waits for a slot.
func (s *slots) wanted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) > 0
}

// give takes a slot back and lets those who wait for one go on. No rider's lock
// may be held.
func (s *slots) give() {
	s.mu.Lock()
	s.free++
	s.mu.Unlock()
	for r := s.next(); r != nil; r = s.next() {
		r.resume()
	}
}

// next is the first in the queue, while there is a slot for it.
func (s *slots) next() *rider {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free == 0 || len(s.waiting) == 0 {
		return nil
	}
	r := s.waiting[0]
	s.waiting = s.waiting[1:]
	return r
}
