// Package worker sends the events of one integration in one partition, several
// at a time, and tracks which the receiver has acknowledged. A Worker uses neither
// the store nor the log: its owner (the live loop, or a catch-up step) gives it
// segments, looks at its State, and decides what to do next. The Registry tracks
// all workers of the process, so that a stop can end them.
package worker

import (
	"context"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/timelimit"
)

// Job configures a Worker. All fields but Probe and Results are required.
type Job struct {
	// Send makes one attempt. It returns when its context ends.
	Send func(ctx context.Context, e *event.Event, attempt int) sink.Verdict
	// Keep saves what must be saved of a verdict before the event counts as
	// acknowledged. It returns when its context ends.
	Keep func(ctx context.Context, e *event.Event, attempt int, v sink.Verdict) error
	// Slots limits the calls of all workers of the integration together, and those
	// of the process.
	Slots  *Slots
	Filter event.Filter
	Start  handoff.AckState // what is acknowledged already
	// Probe makes it start with one call at a time, to check whether a receiver
	// that failed has recovered.
	Probe   bool
	Results bool // it collects the results of its calls, until they are taken
	Now     func() time.Time
	Changed chan<- struct{} // signalled when the State has changed; has a buffer of one
	// Stop, unless nil, is closed when no call may be started any more, at once and
	// whatever the owner is waiting for.
	Stop <-chan struct{}
}

// Worker sends the events it is given. It starts no calls when it has nothing to send, when
// its deadline has passed, and when the receiver fails. It is safe for concurrent
// use.
type Worker struct {
	job Job

	ctx    context.Context // of the calls, which outlive the methods that start them
	cancel context.CancelFunc

	mu       sync.Mutex
	window   *window
	results  []*results          // by segment, until they are taken
	returned []deliveries.Result // that were taken for a commit that failed
	limit    int                 // calls at a time; doubles with each success up to all slots
	active   int                 // calls in flight, also those that are unsent
	unsent   int                 // calls that wait until our side can connect
	deadline time.Time           // no call is started from then on
	closed   bool                // no call is started any more
	failure  *Failure            // of the receiver; no call is started after it
	err      error               // an internal error: Keep failed
	acks     int                 // events acknowledged
	movedAt  time.Time           // when the oldest buffered segment became the oldest
	drained  chan struct{}

	waiter  fairshare.Waiter   // for a place in the process
	awaited *fairshare.Limiter // where it waits; nil if it does not
}

// New returns a worker that starts no calls before Extend. Its calls end when ctx
// does.
func New(ctx context.Context, job Job) *Worker {
	ctx, cancel := context.WithCancel(ctx)
	w := &Worker{
		job: job, ctx: ctx, cancel: cancel,
		window: newWindow(job.Filter, job.Start),
		limit:  job.Slots.size, movedAt: job.Now(),
	}
	w.waiter.Granted = w.granted
	if job.Probe {
		w.limit = 1
	}
	return w
}

// Give adds segments, in order. It ignores those it already has.
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

// Extend lets the worker start calls until the deadline.
func (w *Worker) Extend(deadline time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := w.job.Now(); !w.deadline.IsZero() && !now.Before(w.deadline) {
		w.movedAt = now // it was not slow: it was not allowed to start calls
	}
	w.deadline = deadline
	w.start()
}

// Skip passes over the segments up to upTo, which are no longer in the log. It does
// nothing while segments are buffered; the next Give then shows the gap.
func (w *Worker) Skip(upTo uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.window.idle() {
		w.window.skip(upTo)
	}
}

// Halt stops the worker from starting calls; those in flight go on.
func (w *Worker) Halt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.withdraw()
	if w.active == 0 {
		w.changed() // a stop waits for the owner
	}
}

// Abandon stops the worker from starting calls and cancels those in flight, whose
// outcome stays unknown.
func (w *Worker) Abandon() {
	w.Halt()
	w.cancel()
}

// Drain waits until no call is in flight. Call Halt first.
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

// ended reports whether no call may be started any more. w.mu is held.
func (w *Worker) ended() bool {
	select {
	case <-w.job.Stop:
		return true
	default:
		return w.closed || w.failure != nil || w.err != nil
	}
}

// mayStart reports whether another call may be started. w.mu is held.
func (w *Worker) mayStart(now time.Time) bool {
	return !w.ended() && w.active < w.limit && now.Before(w.deadline)
}

// start starts as many calls as it may. w.mu is held.
func (w *Worker) start() {
	if w.awaited == nil && w.window.more() {
		w.startAt(w.job.Now())
	}
}

// startAt is start at a time. w.mu is held.
func (w *Worker) startAt(now time.Time) {
	for w.awaited == nil && w.mayStart(now) && w.window.more() {
		place, ok := w.job.Slots.take(w)
		if !ok {
			return
		}
		go w.run(w.take(), place)
	}
}

// take takes the next event for a call. w.mu is held, and there is one.
func (w *Worker) take() item {
	w.active++
	next, _ := w.window.take()
	if w.job.Results {
		return w.expect(next)
	}
	return next
}

// resume starts calls again when a slot is free.
func (w *Worker) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.start()
}

// run sends one event after another in its slot and place, until there is none to
// send or another worker waits for one of the two.
func (w *Worker) run(i item, place *fairshare.Limiter) {
	calls := timelimit.New(w.ctx)
	for more := true; more; {
		verdict := w.send(calls, i)
		err := w.job.Keep(w.ctx, i.event(), i.attempt, verdict)
		i, more = w.next(i, verdict, err, place)
	}
	calls.Close()
	w.job.Slots.give(place)
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

// next records the outcome of a call and returns the next event for its slot.
func (w *Worker) next(i item, v sink.Verdict, err error, place *fairshare.Limiter) (next item, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.after(v)
	w.record(i, v, err, now)
	w.active--
	if !w.mayStart(now) || !w.window.more() || w.job.Slots.wanted() || place.Waiting() > 0 {
		return item{}, false
	}
	next = w.take()
	w.startAt(now)
	return next, true
}

// after returns the time after an attempt. Nothing is saved of a delivery, so that it is
// still the time at which it ended.
func (w *Worker) after(v sink.Verdict) time.Time {
	if v.Outcome == sink.Delivered && !v.Started.IsZero() {
		return v.Started.Add(v.Took)
	}
	return w.job.Now()
}

// record records the outcome of a call. w.mu is held.
func (w *Worker) record(i item, v sink.Verdict, err error, now time.Time) {
	switch {
	case err != nil && w.ctx.Err() != nil:
		w.closed = true // the next owner of the integration repeats it
	case err != nil:
		w.err = err
	case v.Outcome == sink.Delivered || v.Outcome == sink.Rejected:
		w.acks++
		w.collect(i, v)
		w.window.tallied(v.Outcome == sink.Delivered, now)
		w.limit = min(2*w.limit, w.job.Slots.size)
		if w.window.ack(i) {
			w.movedAt = now
			w.changed()
		}
	case v.Outcome == sink.Retry:
		w.window.fail(i, v.Started)
		if w.failure == nil {
			w.failure = &Failure{Verdict: v, At: now, Event: i.event()}
			w.changed()
		}
	case v.Outcome == sink.Interrupted:
		w.closed = true
	}
	if w.ended() {
		w.withdraw()
	}
}

func (w *Worker) changed() {
	select {
	case w.job.Changed <- struct{}{}:
	default:
	}
}
