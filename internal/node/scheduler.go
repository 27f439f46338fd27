package node

import (
	"sync"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
)

// scheduler keeps what there is to run: partitions whose log has grown, and
// cursors that are due or have changed. The runner takes it from there. An idle
// tenant has nothing in it. It is safe for concurrent use.
type scheduler struct {
	mu      sync.Mutex
	closed  bool
	live    map[event.Partition]*delivery.LogEnd // being delivered
	cursors map[handoff.Key]chan struct{}        // being advanced; told when the cursor has changed

	newLive    []event.Partition // in live, and not started yet
	newCursors []handoff.Key     // in cursors, and not started yet
	ready      chan struct{}     // told when there is something to start
}

func newScheduler() *scheduler {
	return &scheduler{
		live:    make(map[event.Partition]*delivery.LogEnd),
		cursors: make(map[handoff.Key]chan struct{}),
		ready:   make(chan struct{}, 1),
	}
}

// Grown says that a partition's log ends with the given segment now.
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

// Schedule says that cursors are due, or have changed.
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

// take hands over what is to be started.
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

// endLive ends the delivery of a partition, unless its log has grown beyond the
// given segment meanwhile. It reports whether it did.
func (s *scheduler) endLive(p event.Partition, segment uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[p].Segment() != segment {
		return false
	}
	delete(s.live, p)
	return true
}

// endCursor ends the advancing of a cursor, unless it has changed meanwhile. It
// reports whether it did.
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

// close lets nothing be started any more.
func (s *scheduler) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}
