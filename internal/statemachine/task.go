package statemachine

import (
	"context"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/internal/backoff"
	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
)

// Cursors reads cursors; every store.Store does. A cursor that does not exist is
// a problem.NotFound. A read sees every write that was acknowledged before it.
type Cursors interface {
	Cursor(ctx context.Context, k handoff.Key) (*handoff.Cursor, error)
}

// Task is the task of the state machine, and of the queue. Set its fields; it is safe for
// concurrent use.
type Task struct {
	Advance func(ctx context.Context, k handoff.Key) (delivery.Next, error)
	Cursors Cursors
	Now     func() time.Time
	// Send puts the next state of a message on the queue.
	Send func(ctx context.Context, s State) error
}

// Step runs one step of an execution and returns its next state. After an error, or if
// it is not known whether the step has run, retry it with the same state after a delay.
//
// The package documentation explains each case.
func (t *Task) Step(ctx context.Context, s State) (State, error) {
	s.Count++
	c, err := dueCursor(ctx, t.Cursors, s.Key())
	if err != nil {
		return State{}, err
	}
	if c == nil {
		return s.done(), nil
	}
	switch known := s.Version == "" || s.Version == versionOf(c); {
	case known && s.Shadow:
		return t.takeOver(s, c), nil
	case known:
		return t.advance(ctx, s)
	case s.Shadow: // moved once more: its owner is alive
		return s.done(), nil
	case c.DueAt.Sub(t.Now()) > longestWait: // left to the owner and the sweep
		return s.done(), nil
	default:
		return t.shadow(s, c), nil
	}
}

// Message runs one step of a message and sends its next state, if there is one. After an
// error, or if it is not known whether it has run, run it with the same state again.
//
// A step that fails once it has moved its cursor is not run again: the next try only looks
// after the cursor. The error is returned all the same, so that it is logged and counted. The
// message that SQS then gives out again finds another version, and ends.
func (t *Task) Message(ctx context.Context, s State) error {
	var next State
	failed, err := tried(ctx, func() (err error) { next, err = t.Step(ctx, s); return err })
	if err != nil {
		return err
	}
	if next.Next != Done {
		if _, err := tried(ctx, func() error { return t.Send(ctx, next) }); err != nil {
			return err
		}
	}
	if moved := next.Shadow && !s.Shadow; moved { // by the try that failed
		return failed
	}
	return nil
}

// messageTries is how often a message's step is tried at once, after a second and after two
// more, and so is what it sends: SQS gives the message out again only after minutes.
const messageTries = 3

// tried calls f until it succeeds, messageTries times at most, and returns the error of the
// last try, and that of the one before.
func tried(ctx context.Context, f func() error) (before, err error) {
	for try := range messageTries {
		before, err = err, f()
		if err == nil || try == messageTries-1 || backoff.Wait(ctx, time.Second<<try) != nil {
			return before, err
		}
	}
	return before, err
}

// takeOver makes a shadow the owner, once the last owner has had its time. It
// does not advance: see the package documentation.
func (t *Task) takeOver(s State, c *handoff.Cursor) State {
	left := c.DueAt.Add(shadowMargin).Sub(t.Now()) // positive if the clocks differ
	s.Shadow = left > 0
	return t.wait(s, left)
}

// advance runs the step of an owner.
func (t *Task) advance(ctx context.Context, s State) (State, error) {
	next, err := t.Advance(ctx, s.Key())
	if err != nil {
		return State{}, err
	}
	if next.Done {
		return s.done(), nil
	}
	c, err := dueCursor(ctx, t.Cursors, s.Key())
	switch {
	case err != nil:
		return State{}, err
	case c == nil:
		return s.done(), nil
	case next.Lost: // another execution made the version
		return t.shadow(s, c), nil
	default:
		s.Version, s.Shadow = versionOf(c), false
		return t.wait(s, next.Wait), nil
	}
}

// shadow makes the execution a shadow of the cursor's version.
func (t *Task) shadow(s State, c *handoff.Cursor) State {
	s.Version, s.Shadow = versionOf(c), true
	return t.wait(s, max(c.DueAt.Sub(t.Now()), 0)+shadowMargin)
}

// dueCursor returns the cursor, nil if it does not exist or has no due time.
func dueCursor(ctx context.Context, cursors Cursors, k handoff.Key) (*handoff.Cursor, error) {
	c, err := cursors.Cursor(ctx, k)
	if problem.CodeOf(err) == problem.NotFound {
		return nil, nil
	}
	if err != nil || c.DueAt.IsZero() {
		return nil, err
	}
	return c, nil
}

func (t *Task) wait(s State, wait time.Duration) State {
	s.Next, s.WaitSeconds = Wait, seconds(wait)
	// The name includes the time because a cursor may keep its version for longer
	// than an execution lasts.
	s.Renewal = executionName(s.Key(), s.Version, strconv.Itoa(s.Count), strconv.FormatInt(t.Now().Unix(), 36))
	return s
}

func (s State) done() State {
	s.Next, s.WaitSeconds = Done, 0
	return s
}
