// Package worker sends the events of one integration in one partition, several
// at a time, and keeps track of which the receiver has acknowledged. A Worker
// knows neither store nor log: its owner (the live loop, or a catch-up step)
// gives it segments, looks at its State, and decides what happens next. The
// Registry knows all work of the process, so that a stop can end it.
package worker

import (
	"context"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/sink"
)

// Job is what a Worker works on. All fields but Probe are required.
type Job struct {
	// Send makes one attempt. It ends with its context.
	Send func(ctx context.Context, e *event.Event, attempt int) sink.Verdict
	// Keep stores what has to be kept of a verdict before the event counts as
	// acknowledged. It ends with its context.
	Keep func(ctx context.Context, e *event.Event, attempt int, v sink.Verdict) error
	// Slots is the window of calls that all workers of the integration share.
	Slots  *Slots
	Filter event.Filter
	Start  handoff.AckState // what is acknowledged already
	// Probe makes it start with one call at a time, to see whether a receiver
	// that failed is back.
	Probe   bool
	Now     func() time.Time
	Changed chan<- struct{} // told when the owner should look; has room for one
}

// Worker works on a Job. It pauses by itself when it has nothing to send, may
// not start calls any more, or the receiver fails. It is safe for concurrent use.
type Worker struct {
	job Job

	ctx    context.Context // of the calls, which outlive the methods that start them
	cancel context.CancelFunc

	mu       sync.Mutex
	window   *window
	limit    int       // calls at a time; doubles with each success up to all slots
	active   int       // calls in flight
	deadline time.Time // no call is started from then on
	closed   bool      // no call is started any more
	failure  *Failure  // why it paused
	err      error     // an error of our own
	acks     int       // events acknowledged
	movedAt  time.Time // when the oldest buffered segment became the oldest
	drained  chan struct{}
}

// Failure is an attempt that has to be repeated.
type Failure struct {
	Verdict sink.Verdict
	At      time.Time
}

// State is what an owner decides by.
type State struct {
	Acked    uint64    // the last segment that is wholly acknowledged
	Failure  *Failure  // the receiver failed, nil while it does not
	Err      error     // Keep failed
	Acks     int       // events acknowledged so far
	Drained  bool      // no call is in flight
	Idle     bool      // all it was given is acknowledged
	Closed   bool      // it starts no calls any more
	MovedAt  time.Time // when the oldest buffered segment became the oldest
	Deadline time.Time // no call is started from then on
}

// New returns a worker that may not start calls before Extend. ctx ends its
// calls.
func New(ctx context.Context, job Job) *Worker {
	ctx, cancel := context.WithCancel(ctx)
	w := &Worker{
		job: job, ctx: ctx, cancel: cancel,
		window: newWindow(job.Filter, job.Start),
		limit:  job.Slots.size, movedAt: job.Now(),
	}
	if job.Probe {
		w.limit = 1
	}
	return w
}

// Give adds segments, in order; those it has already are ignored.
func (w *Worker) Give(segs []eventlog.Segment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.window.idle() {
		w.movedAt = w.job.Now()
	}
	for _, seg := range segs {
		w.window.add(seg)
	}
	w.start()
}

// Extend lets it start calls until the deadline.
func (w *Worker) Extend(deadline time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := w.job.Now(); !w.deadline.IsZero() && !now.Before(w.deadline) {
		w.movedAt = now // it was not slow: it was not allowed to start calls
	}
	w.deadline = deadline
	w.start()
}

// Skip passes over segments up to the given number, which are no longer in the
// log, if nothing is buffered; otherwise the gap shows in what is given next.
func (w *Worker) Skip(upTo uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.window.idle() {
		w.window.skip(upTo)
	}
}

// Halt makes it start no more calls; those in flight go on.
func (w *Worker) Halt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
}

// Abandon makes it start no more calls and ends those in flight, whose outcome
// stays unknown.
func (w *Worker) Abandon() {
	w.Halt()
	w.cancel()
}

// Drain returns when no call is in flight. It is for after Halt.
func (w *Worker) Drain() {
	w.mu.Lock()
	if w.active == 0 {
		w.mu.Unlock()
		return
	}
	if w.drained == nil {
		w.drained = make(chan struct{})
	}
	drained := w.drained
	w.mu.Unlock()
	<-drained
}

// State returns how it stands.
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
		MovedAt:  w.movedAt,
		Deadline: w.deadline,
	}
}

// Progress is where to go on from when this worker is gone.
func (w *Worker) AckState() handoff.AckState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.window.ackState()
}

// Buffered is the size of the segments that are not wholly acknowledged, in bytes.
func (w *Worker) Buffered() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.window.bytes()
}

// Last is the number of the last segment it was given.
func (w *Worker) Last() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.window.last()
}

// mayStart reports whether another call may be started. w.mu is held.
func (w *Worker) mayStart() bool {
	return !w.closed && w.failure == nil && w.err == nil && w.active < w.limit && w.job.Now().Before(w.deadline)
}

// start starts as many calls as it may. w.mu is held.
func (w *Worker) start() {
	for w.mayStart() && w.window.more() && w.job.Slots.take(w) {
		go w.run(w.take())
	}
}

// take takes the next event for a call. w.mu is held, and there is one.
func (w *Worker) take() item {
	w.active++
	next, _ := w.window.take()
	return next
}

// resume goes on when a slot is free again.
func (w *Worker) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.start()
}

// run sends one event after the other in its slot, until there is none to send
// or another lane waits for the slot.
func (w *Worker) run(i item) {
	for more := true; more; {
		verdict := w.job.Send(w.ctx, i.event(), i.attempt)
		err := w.job.Keep(w.ctx, i.event(), i.attempt, verdict)
		i, more = w.next(i, verdict, err)
	}
	w.job.Slots.give()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.start()
	if w.active > 0 {
		return
	}
	if w.drained != nil {
		close(w.drained)
		w.drained = nil
	}
	w.changed()
}

// next takes in the outcome of a call and returns the next event for its slot.
func (w *Worker) next(i item, v sink.Verdict, err error) (next item, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note(i, v, err)
	w.active--
	if !w.mayStart() || !w.window.more() || w.job.Slots.wanted() {
		return item{}, false
	}
	next = w.take()
	w.start()
	return next, true
}

// note takes in the outcome of a call. w.mu is held.
func (w *Worker) note(i item, v sink.Verdict, err error) {
	switch {
	case err != nil && w.ctx.Err() != nil:
		w.closed = true // the next owner of the integration repeats it
	case err != nil:
		w.err = err
	case v.Outcome == sink.Delivered || v.Outcome == sink.Rejected:
		w.acks++
		w.limit = min(2*w.limit, w.job.Slots.size)
		if w.window.ack(i) {
			w.movedAt = w.job.Now()
			w.changed()
		}
	case v.Outcome == sink.Retry:
		w.window.fail(i)
		if w.failure == nil {
			w.failure = &Failure{Verdict: v, At: w.job.Now()}
			w.changed()
		}
	case v.Outcome == sink.Interrupted:
		w.closed = true
	}
}

func (w *Worker) changed() {
	select {
	case w.job.Changed <- struct{}{}:
	default:
	}
}
