// Package timelimit limits the time of calls. Those that are made one after another share a
// context and a timer, as long as they keep their limits: new ones for each call cost more
// than a short call's own work, and calls at the same time would meet in the lock of the
// context above them.
package timelimit

import (
	"context"
	"time"
)

// Calls is the context of calls made one after another, for Begin. It ends when its
// parent does, and its calls with it. It is for one goroutine.
type Calls struct {
	context.Context
	idle *Call // for the next call; nil if there is none yet
}

// New returns Calls that must be closed.
func New(parent context.Context) *Calls { return &Calls{Context: parent} }

// Close frees what the calls have shared.
func (c *Calls) Close() {
	if c.idle != nil {
		c.idle.cancel(context.Canceled)
		c.idle = nil
	}
}

// Call is the context of a call. Its methods, except those of context.Context, are for
// the goroutine that has begun it. Its Deadline is its parent's.
type Call struct {
	context.Context
	cancel context.CancelCauseFunc
	of     *Calls // nil for a call that shares nothing
	timer  *time.Timer
	until  time.Time
	late   error // the cause if it takes longer
}

// Begin begins a call that ends when ctx does, or with the cause late if it takes longer
// than the limit. Call End when nothing uses it any more. If ctx is a *Calls, the call shares
// what it needs with those before.
func Begin(ctx context.Context, limit time.Duration, late error) *Call {
	until := time.Now().Add(limit)
	of, _ := ctx.(*Calls)
	if of != nil && of.idle != nil {
		c := of.idle
		of.idle, c.until, c.late = nil, until, late
		c.timer.Reset(limit)
		return c
	}
	c := &Call{of: of, until: until, late: late}
	c.Context, c.cancel = context.WithCancelCause(ctx)
	c.timer = time.AfterFunc(limit, func() { c.cancel(c.late) })
	return c
}

// Shorten lets the call take no longer than the given time from now.
func (c *Call) Shorten(limit time.Duration) {
	if until := time.Now().Add(limit); until.Before(c.until) && c.timer.Stop() {
		c.until = until
		c.timer.Reset(limit)
	}
}

// End ends the call.
func (c *Call) End() {
	// A timer that has just fired would end the next call.
	if kept := c.timer.Stop(); kept && c.of != nil {
		c.of.idle = c
		return
	}
	c.cancel(context.Canceled)
}
