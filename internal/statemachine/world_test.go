package statemachine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/memory"
)

// world has one cursor in the memory store, the executions that advance it, and a manual
// clock. A step of an execution runs from one call of the store to the next; anything
// may happen in between.
type world struct {
	store    *memory.Store
	now      time.Time
	execs    []*execution  // and messages
	replay   bool          // the cursor is of a replay
	zombies  []*invocation // steps that still run although their execution has given up on them
	leases   int           // taken
	lastTime time.Time     // of a lease
	outcome  func() outcome
}

// outcome is the result of an Advance.
type outcome struct {
	done bool
	wait time.Duration
}

type execution struct {
	name   string // "" for a message of the queue
	state  State
	wakeAt time.Time
	step   *invocation // in progress, or nil
}

// invocation is one run of the function for one state.
type invocation struct {
	next func() (struct{}, bool)
	kill func()
	then State
	err  error
}

const (
	lease      = 16 * time.Second
	sweepAfter = lease
	sweepEvery = 5 * time.Minute
	// hidden is how long the queue waits for the function before it gives a message out again.
	hidden = 200 * time.Second
)

var errKilled = errors.New("the function was killed")

func newWorld() *world {
	w := &world{store: memory.New(), now: now, replay: true, outcome: func() outcome { return outcome{wait: time.Minute} }}
	w.change(func(c *handoff.Cursor) { c.State, c.DueAt = handoff.Scheduled, w.now })
	return w
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// cursor returns the current cursor, or a zero one if there is none.
func (w *world) cursor() handoff.Cursor {
	c, err := w.store.Cursor(context.Background(), key)
	if err != nil {
		return handoff.Cursor{Key: key}
	}
	return *c
}

// change changes the cursor from outside, as the API or live delivery does.
func (w *world) change(f func(*handoff.Cursor)) {
	c := w.cursor()
	f(&c)
	must(w.store.Commit(context.Background(), store.PutCursor{Cursor: &c}))
}

func (w *world) remove() {
	c := w.cursor()
	must(w.store.Commit(context.Background(), store.DeleteCursor{Cursor: &c}))
}

func (w *world) stop() {
	w.change(func(c *handoff.Cursor) { c.State, c.DueAt = handoff.Paused, time.Time{} })
}

func (w *world) restart() {
	w.change(func(c *handoff.Cursor) { c.State, c.DueAt = handoff.Scheduled, w.now })
}

// schedule does what a Scheduler and the state machine do.
func (w *world) schedule(salt string) {
	c := w.cursor()
	if c.DueAt.IsZero() {
		return
	}
	s := State{Tenant: key.Tenant, Integration: key.Integration, Lane: key.Lane, Version: versionOf(&c), WaitSeconds: seconds(c.DueAt.Sub(w.now))}
	if !w.replay {
		w.execs = append(w.execs, &execution{state: s, wakeAt: w.now.Add(min(time.Duration(s.WaitSeconds)*time.Second, longestDelay))})
		return
	}
	name := executionName(key, s.Version, salt)
	for _, e := range w.execs { // messages have no names
		if e.name == name {
			return
		}
	}
	w.execs = append(w.execs, &execution{name: name, state: s, wakeAt: w.now.Add(time.Duration(s.WaitSeconds) * time.Second)})
}

// sweep starts an execution if the cursor is overdue.
func (w *world) sweep() {
	if c := w.cursor(); !c.DueAt.IsZero() && !c.DueAt.After(w.now.Add(-sweepAfter)) {
		w.schedule(fmt.Sprint(w.now.Unix()))
	}
}

// alive returns the executions that have not ended.
func (w *world) alive() (alive []*execution) {
	for _, e := range w.execs {
		if e.state.Next != Done {
			alive = append(alive, e)
		}
	}
	return alive
}

// ready returns the executions that can run now.
func (w *world) ready() []*execution {
	return slices.DeleteFunc(w.alive(), func(e *execution) bool { return e.step == nil && e.wakeAt.After(w.now) })
}

// invoke begins a step; it stops before the first call of the store.
func (w *world) invoke(e *execution) *invocation {
	inv := new(invocation)
	ctx, cancel := context.WithCancel(context.Background())
	next, kill := iter.Pull(func(yield func(struct{}) bool) {
		call := func() error {
			if !yield(struct{}{}) {
				return errKilled
			}
			return nil
		}
		d := Task{
			Cursors: pausing{w.store, call},
			Now:     func() time.Time { return w.now },
			Advance: func(ctx context.Context, k handoff.Key) (delivery.Next, error) { return w.advance(ctx, k, call) },
			Send: func(_ context.Context, s State) error {
				if err := call(); err != nil {
					return err
				}
				wait := min(time.Duration(s.WaitSeconds)*time.Second, longestDelay)
				w.execs = append(w.execs, &execution{state: s, wakeAt: w.now.Add(wait)})
				return call() // it is sent, and the response may be lost
			},
		}
		if e.name == "" {
			inv.then, inv.err = State{Next: Done}, d.Message(ctx, e.state)
			return
		}
		inv.then, inv.err = d.Step(ctx, e.state)
	})
	inv.next, inv.kill = next, func() {
		cancel()
		kill()
	}
	return inv
}

// pausing yields before each read, so that others can run.
type pausing struct {
	store *memory.Store
	call  func() error
}

func (p pausing) Cursor(ctx context.Context, k handoff.Key) (*handoff.Cursor, error) {
	if err := p.call(); err != nil {
		return nil, err
	}
	return p.store.Cursor(ctx, k)
}

// advance is a simplified Advance: it takes the lease of a due cursor, does something,
// and sets when the cursor is due again.
func (w *world) advance(ctx context.Context, k handoff.Key, call func() error) (delivery.Next, error) {
	c, err := pausing{w.store, call}.Cursor(ctx, k)
	if err != nil || c.DueAt.IsZero() {
		return delivery.Next{Done: true}, nil
	}
	if wait := c.DueAt.Sub(w.now); wait > 0 {
		return delivery.Next{Wait: wait}, nil
	}
	if err := call(); err != nil {
		return delivery.Next{}, err
	}
	c.DueAt = w.now.Add(lease)
	if w.store.Commit(ctx, store.PutCursor{Cursor: c}) != nil {
		return delivery.Next{}, nil
	}
	w.leases, w.lastTime = w.leases+1, w.now
	if err := call(); err != nil {
		return delivery.Next{}, err
	}
	o := w.outcome()
	c.DueAt = w.now.Add(o.wait)
	if o.done {
		c.State, c.DueAt = handoff.Live, time.Time{}
	}
	if w.store.Commit(ctx, store.PutCursor{Cursor: c}) != nil {
		return delivery.Next{}, nil
	}
	if err := call(); err != nil {
		return delivery.Next{}, err
	}
	return delivery.Next{Done: o.done, Wait: o.wait}, nil
}

// run runs an execution up to its next call of the store, or to the end of its step.
func (w *world) run(e *execution) {
	if e.step == nil {
		e.step = w.invoke(e)
	}
	if _, more := e.step.next(); more {
		return
	}
	then, err := e.step.then, e.step.err
	e.step = nil
	if err != nil {
		e.wakeAt = w.now.Add(e.retried())
		return
	}
	e.state, e.wakeAt = then, w.now.Add(time.Duration(then.WaitSeconds)*time.Second)
}

// finish runs an execution to the end of its step.
func (w *world) finish(e *execution) {
	for w.run(e); e.step != nil; {
		w.run(e)
	}
}

// lose kills the current step, or lets it run on by itself. In both cases the execution
// gets no response and retries the step.
func (w *world) lose(e *execution, goesOn bool) {
	if goesOn {
		w.zombies = append(w.zombies, e.step)
	} else {
		e.step.kill()
	}
	e.step, e.wakeAt = nil, w.now.Add(e.retried())
}

// retried is after which time a step without a response is run again.
func (e *execution) retried() time.Duration {
	if e.name == "" {
		return hidden
	}
	return time.Second
}

// fail ends an execution for good.
func (w *world) fail(e *execution) {
	if e.step != nil {
		e.step.kill()
		e.step = nil
	}
	e.state.Next = Done
}

// end stops everything.
func (w *world) end() {
	for _, e := range w.execs {
		w.fail(e)
	}
	for _, z := range w.zombies {
		z.kill()
	}
}
