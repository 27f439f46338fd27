package node

import (
	"sync"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
)

// scheduler holds the work for the runner: partitions whose log has grown, and
// cursors that are due or have changed. An idle tenant takes no memory. It is safe for
// concurrent use.
type scheduler struct {
	mu      sync.Mutex
	closed  bool
	live    map[event.Partition]*delivery.LogEnd // being delivered, or in newLive
	cursors map[handoff.Key]chan struct{}        // being advanced, or in newCursors; signaled when the cursor changes

	newLive    []event.Partition // not started yet
	newCursors []handoff.Key     // not started yet
	ready      chan struct{}     // signaled when newLive or newCursors grows
}

func newScheduler() *scheduler {
	return &scheduler{
		live:    make(map[event.Partition]*delivery.LogEnd),
		cursors: make(map[handoff.Key]chan struct{}),
		ready:   make(chan struct{}, 1),
	}
}

// Grown schedules live delivery of a partition whose log now ends with segment.
func (s *scheduler) Grown(p event.Partition, segment uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if end := s.live[p]; end != nil {
		end.Grow(segment)
		return
	}
	if s.closed {
		return
	}
	s.live[p] = delivery.NewLogEnd(segment)
	s.newLive = append(s.newLive, p)
	s.notify()
}

// Schedule schedules cursors that are due or have changed.
func (s *scheduler) Schedule(keys ...handoff.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		if changed := s.cursors[k]; changed != nil {
			select {
			case changed <- struct{}{}:
			default:
			}
			continue
		}
		if s.closed {
			return
		}
		s.cursors[k] = make(chan struct{}, 1)
		s.newCursors = append(s.newCursors, k)
	}
	s.notify()
}

func (s *scheduler) notify() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// take removes and returns the work that is not started yet.
func (s *scheduler) take() (live map[event.Partition]*delivery.LogEnd, cursors map[handoff.Key]chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	live, cursors = make(map[event.Partition]*delivery.LogEnd), make(map[handoff.Key]chan struct{})
	for _, p := range s.newLive {
		live[p] = s.live[p]
	}
	for _, k := range s.newCursors {
		cursors[k] = s.cursors[k]
	}
	s.newLive, s.newCursors = nil, nil
	return live, cursors
}

// endLive marks live delivery of a partition as done, unless its log has grown
// beyond segment. It reports whether it did.
func (s *scheduler) endLive(p event.Partition, segment uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[p].Segment() != segment {
		return false
	}
	delete(s.live, p)
	return true
}

// endCursor removes a cursor, unless it has changed since. It reports whether it
// did.
func (s *scheduler) endCursor(k handoff.Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.cursors[k]:
		return false
	default:
		delete(s.cursors, k)
		return true
	}
}

// close stops accepting new work.
func (s *scheduler) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}
