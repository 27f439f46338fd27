package worker

import (
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/sink"
)

// Failure is a failed attempt that must be repeated.
type Failure struct {
	Verdict sink.Verdict
	At      time.Time
	Event   *event.Event // nil if it was a file, or nothing was sent
}

// State is a snapshot of a worker, by which its owner decides.
type State struct {
	Acked    uint64    // the last segment that is wholly acknowledged
	Failure  *Failure  // nil unless the receiver failed
	Err      error     // Keep failed
	Acks     int       // events acknowledged so far
	Drained  bool      // no call is in flight
	Idle     bool      // everything it was given is acknowledged
	Closed   bool      // it starts no calls any more
	Waiting  bool      // a call waits for a place in the process, or for a connection that our side can make
	Calling  bool      // a call is with the receiver
	MovedAt  time.Time // when the oldest buffered segment became the oldest
	Deadline time.Time // no call is started from then on
}

// State returns a snapshot.
func (w *Worker) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	return State{
		Acked:    w.window.acked,
		Failure:  w.failure,
		Err:      w.err,
		Acks:     w.acks,
		Drained:  w.active == 0,
		Idle:     w.window.idle(),
		Closed:   w.closed,
		Waiting:  w.awaited != nil || w.unsent > 0,
		Calling:  w.active > w.unsent,
		MovedAt:  w.movedAt,
		Deadline: w.deadline,
	}
}

// AckState returns the state from which another worker can go on.
func (w *Worker) AckState() handoff.AckState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.window.ackState()
}

// Tally returns what became of the events that are acknowledged.
func (w *Worker) Tally() handoff.Tally {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.window.tally
}

// Buffered returns the size of the segments that are not wholly acknowledged, in
// bytes.
func (w *Worker) Buffered() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.window.bytes()
}

// Last returns the number of the last segment it was given.
func (w *Worker) Last() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.window.last()
}
