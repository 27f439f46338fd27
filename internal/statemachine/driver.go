package statemachine

import (
	"context"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
)

// Cursors reads cursors; every store.Store does. A cursor that is not there is
// a problem.NotFound. A read sees every write that was acknowledged before it.
type Cursors interface {
	Cursor(ctx context.Context, k handoff.Key) (*handoff.Cursor, error)
}

// Driver makes the steps of executions. Fill in its fields; it is safe for
// concurrent use.
type Driver struct {
	Advance func(ctx context.Context, k handoff.Key) (delivery.Step, error)
	Cursors Cursors
	Now     func() time.Time
}

// Step makes one step of an execution and returns its next state. After an
// error, of Advance or of the store, the step is to be made again with the same
// state, after a pause; that is right too when it is not known whether the
// step was made.
func (d *Driver) Step(ctx context.Context, s State) (State, error) {
	s.Count++
	c, err := d.due(ctx, s.Key())
	switch {
	case err != nil:
		return State{}, err
	case c == nil:
		return s.done(), nil
	case s.Version == "" || s.Version == versionOf(c):
		if s.Shadow {
			return d.takeOver(s, c), nil
		}
		return d.advance(ctx, s)
	}
	wait := c.DueAt.Sub(d.Now())
	if s.Shadow || wait > longestWait {
		return s.done(), nil
	}
	s.Version, s.Shadow = versionOf(c), true
	return d.wait(s, max(wait, 0)+shadowMargin), nil
}

// takeOver makes a shadow an owner, if the one before has had its time.
func (d *Driver) takeOver(s State, c *handoff.Cursor) State {
	if wait := c.DueAt.Add(shadowMargin).Sub(d.Now()); wait > 0 { // the clocks differ
		return d.wait(s, wait)
	}
	s.Shadow = false
	return d.wait(s, 0)
}

func (d *Driver) advance(ctx context.Context, s State) (State, error) {
	step, err := d.Advance(ctx, s.Key())
	if err != nil {
		return State{}, err
	}
	if step.Done {
		return s.done(), nil
	}
	c, err := d.due(ctx, s.Key())
	if err != nil {
		return State{}, err
	}
	if c == nil {
		return s.done(), nil
	}
	if step.Lost { // the version is somebody else's
		s.Version, s.Shadow = versionOf(c), true
		return d.wait(s, max(c.DueAt.Sub(d.Now()), 0)+shadowMargin), nil
	}
	s.Version, s.Shadow = versionOf(c), false
	return d.wait(s, step.Wait), nil
}

// due returns the cursor, or nil if there is none that is ever due.
func (d *Driver) due(ctx context.Context, k handoff.Key) (*handoff.Cursor, error) {
	c, err := d.Cursors.Cursor(ctx, k)
	if problem.CodeOf(err) == problem.NotFound {
		return nil, nil
	}
	if err != nil || c.DueAt.IsZero() {
		return nil, err
	}
	return c, nil
}

func (d *Driver) wait(s State, wait time.Duration) State {
	s.Next, s.WaitSeconds = Wait, seconds(wait)
	// The time is part of it because a cursor may keep its version for as long
	// as an execution lasts.
	s.Renewal = executionName(s.Key(), s.Version, strconv.Itoa(s.Count), strconv.FormatInt(d.Now().Unix(), 36))
	return s
}

func (s State) done() State {
	s.Next, s.WaitSeconds = Done, 0
	return s
}
