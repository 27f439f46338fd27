package delivery

import (
	"context"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
)

// rider carries one integration over the segments it is given, with several
// calls at a time. The follow loop has one for each follower, a catch-up step
// has one. It ends by itself when it has nothing to send, may not start calls
// any more, or the receiver fails; its owner looks at state and decides.
type rider struct {
	engine *Engine
	in     *integration.Integration
	lane   int
	target *target
	signal chan<- struct{} // told when the owner should look; has room for one

	ctx    context.Context // of the calls
	cancel context.CancelFunc

	mu       sync.Mutex
	track    *tracker
	limit    int       // calls at a time; doubles with each success up to the setting
	active   int       // calls under way
	until    time.Time // no call is started from then on
	closed   bool      // no call is started any more
	failure  *failure  // why it stands
	err      error     // an error of our own
	passed   int       // events that got through
	movedAt  time.Time // when the oldest segment in hand became the oldest
	finished chan struct{}
}

// failure is an attempt that has to be repeated.
type failure struct {
	verdict Verdict
	at      time.Time
}

// riderState is what an owner decides by.
type riderState struct {
	through uint64 // the last segment wholly through
	failure *failure
	err     error
	passed  int
	resting bool // no call is under way
	idle    bool // everything it was given is through
	closed  bool
	movedAt time.Time
	until   time.Time // no call is started from then on
}

// newRider makes a rider. A probe starts with one call at a time, to see
// whether a receiver that failed is back. ctx ends its calls.
func (e *Engine) newRider(ctx context.Context, t *target, lane int, start handoff.Progress, probe bool, signal chan<- struct{}) *rider {
	ctx, cancel := context.WithCancel(ctx)
	r := &rider{
		engine: e, in: t.in, lane: lane, target: t, signal: signal,
		ctx: ctx, cancel: cancel,
		track: newTracker(t.in.EventFilter(), start),
		limit: e.Settings.InFlight, movedAt: e.Now(),
	}
	if probe {
		r.limit = 1
	}
	return r
}

// give hands it segments, in order; those it has already are ignored.
func (r *rider) give(segs []eventlog.Segment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.track.idle() {
		r.movedAt = r.engine.Now()
	}
	for _, seg := range segs {
		r.track.add(seg)
	}
	r.start()
}

// extend lets it start calls until the given time.
func (r *rider) extend(until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.engine.Now(); !r.until.IsZero() && !now.Before(r.until) {
		r.movedAt = now // it was not slow: it was not allowed to start calls
	}
	r.until = until
	r.start()
}

// halt makes it start no more calls; those under way go on.
func (r *rider) halt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

// abandon makes it start no more calls and ends those under way, whose outcome
// stays unknown.
func (r *rider) abandon() {
	r.halt()
	r.cancel()
}

// quiet returns when no call is under way. It is for after a halt.
func (r *rider) quiet() {
	r.mu.Lock()
	if r.active == 0 {
		r.mu.Unlock()
		return
	}
	if r.finished == nil {
		r.finished = make(chan struct{})
	}
	finished := r.finished
	r.mu.Unlock()
	<-finished
}

func (r *rider) state() riderState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return riderState{
		through: r.track.through,
		failure: r.failure,
		err:     r.err,
		passed:  r.passed,
		resting: r.active == 0,
		idle:    r.track.idle(),
		closed:  r.closed,
		movedAt: r.movedAt,
		until:   r.until,
	}
}

// progress is where to go on from when this rider is gone.
func (r *rider) progress() handoff.Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.track.progress()
}

// inHand is the size of what it was given and is not through, in bytes.
func (r *rider) inHand() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.track.bytes()
}

// mayStart reports whether another call may be started. r.mu is held.
func (r *rider) mayStart() bool {
	return !r.closed && r.failure == nil && r.err == nil && r.active < r.limit && r.engine.Now().Before(r.until)
}

// start starts as many calls as it may. r.mu is held.
func (r *rider) start() {
	for r.mayStart() && r.track.more() && r.target.slots.take(r) {
		next, _ := r.track.take()
		r.active++
		go r.work(next, next.attempt())
	}
}

// resume goes on when there is a slot again.
func (r *rider) resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.start()
}

// work sends one event after the other in its slot, until there is none to send
// or another lane waits for the slot.
func (r *rider) work(next item, attempt int) {
	for {
		verdict := r.engine.attempt(r.ctx, r.in, r.lane, r.target.sender, next.event(), attempt)
		err := r.engine.record(r.ctx, r.target, next.event(), attempt, verdict)

		r.mu.Lock()
		r.note(next, verdict, err)
		r.active--
		if !r.mayStart() || !r.track.more() || r.target.slots.wanted() {
			break
		}
		next, _ = r.track.take()
		attempt = next.attempt()
		r.active++
		r.start()
		r.mu.Unlock()
	}
	r.mu.Unlock()
	r.target.slots.give()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.start()
	if r.active == 0 {
		r.rest()
	}
}

// note takes in the outcome of a call. r.mu is held.
func (r *rider) note(i item, v Verdict, err error) {
	switch {
	case err != nil && r.ctx.Err() != nil:
		r.closed = true // it is repeated by whoever is next
	case err != nil:
		r.err = err
	case v.Outcome == Delivered || v.Outcome == Rejected:
		r.passed++
		r.limit = min(2*r.limit, r.engine.Settings.InFlight)
		if r.track.settle(i) {
			r.movedAt = r.engine.Now()
			r.tell()
		}
	case v.Outcome == Retry:
		r.track.fail(i)
		if r.failure == nil {
			r.failure = &failure{verdict: v, at: r.engine.Now()}
			r.tell()
		}
	case v.Outcome == Interrupted:
		r.closed = true
	}
}

// rest is called when the last call under way has ended. r.mu is held.
func (r *rider) rest() {
	if r.finished != nil {
		close(r.finished)
		r.finished = nil
	}
	r.tell()
}

func (r *rider) tell() {
	select {
	case r.signal <- struct{}{}:
	default:
	}
}

// last is the number of the last segment it was given.
func (r *rider) last() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.track.last()
}

// skip passes over segments that are no longer in the log, if nothing is in
// hand; otherwise the gap shows in what is given next.
func (r *rider) skip(through uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.track.idle() {
		r.track.skip(through)
	}
}
