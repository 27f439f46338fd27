package runner

import (
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/handoff"
)

// Scheduler holds the work for the runner: partitions whose log has grown, and
// cursors that are due or have changed. An idle tenant takes no memory. It is safe for
// concurrent use.
type Scheduler struct {
	mu      sync.Mutex
	closed  bool
	live    map[event.Partition]*delivery.LogEnd // being delivered, or in newLive
	cursors map[handoff.Key]*task

	newLive []event.Partition // not started yet
	due     []*task           // not given to the runner yet
	ready   chan struct{}     // signaled when newLive or due grows
}

// task is a cursor that is in the scheduler's due, waits for a place, is being advanced,
// or waits until it is due. While it waits it has no goroutine.
type task struct {
	key    handoff.Key
	waiter fairshare.Waiter // for a place

	// The scheduler guards these.
	timer   *time.Timer // runs until it is due; nil otherwise
	running bool        // from when it waits for a place
	changed bool        // since it began to run

	// These are of the goroutine that advances it.
	kind     delivery.Kind // of its next step
	failures int           // in a row
	logged   string        // the last error
}

// NewScheduler returns an empty scheduler.
func NewScheduler() *Scheduler {
	return &Scheduler{
		live:    make(map[event.Partition]*delivery.LogEnd),
		cursors: make(map[handoff.Key]*task),
		ready:   make(chan struct{}, 1),
	}
}

// Grown schedules live delivery of a partition whose log now ends with segment.
func (s *Scheduler) Grown(p event.Partition, segment uint64) {
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
func (s *Scheduler) Schedule(keys ...handoff.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		t := s.cursors[k]
		switch {
		case t == nil && s.closed:
			return
		case t == nil:
			t = &task{key: k}
			s.cursors[k] = t
			s.enqueue(t)
		case t.running:
			t.changed = true
		case t.timer != nil && t.timer.Stop():
			s.enqueue(t)
		}
	}
}

// Cursors returns how many cursors it holds.
func (s *Scheduler) Cursors() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.cursors)
}

// enqueue gives a task to the runner. s.mu is held.
func (s *Scheduler) enqueue(t *task) {
	t.timer = nil
	s.due = append(s.due, t)
	s.notify()
}

func (s *Scheduler) notify() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// take removes and returns the work that is not started yet.
func (s *Scheduler) take() (live map[event.Partition]*delivery.LogEnd, due []*task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	live = make(map[event.Partition]*delivery.LogEnd)
	for _, p := range s.newLive {
		live[p] = s.live[p]
	}
	due = s.due
	for _, t := range due {
		t.running = true
	}
	s.newLive, s.due = nil, nil
	return live, due
}

// endLive marks live delivery of a partition as done, unless its log has grown
// beyond segment. It reports whether it did.
func (s *Scheduler) endLive(p event.Partition, segment uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[p].Segment() != segment {
		return false
	}
	delete(s.live, p)
	return true
}

// begin is called before each step: it will see what has changed until now.
func (s *Scheduler) begin(t *task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.changed = false
}

// end forgets a cursor with nothing left to do, unless it has changed since its step
// began.
func (s *Scheduler) end(t *task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.running = false
	if t.changed {
		s.enqueue(t)
		return
	}
	delete(s.cursors, t.key)
}

// again schedules a cursor's next step after a wait, or at once if it has changed since
// the last one began.
func (s *Scheduler) again(t *task, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.running = false
	switch {
	case t.changed || wait <= 0:
		s.enqueue(t)
	case !s.closed:
		t.timer = time.AfterFunc(wait, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.enqueue(t)
		})
	}
}

// close stops accepting new work.
func (s *Scheduler) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, t := range s.cursors {
		if t.timer != nil {
			t.timer.Stop()
		}
	}
}
