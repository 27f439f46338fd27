package delivery

import (
	"context"
	"errors"
	"time"

	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/worker"
)

// action is what a catch-up step does next.
type action int

const (
	await      action = iota // wait for the worker
	checkpoint               // save the ack state and renew the lease
	read                     // read more of the log
	finish                   // end the step
	fail                     // end it with the worker's error
)

// decide returns what a catch-up step does next, given the worker's state. over
// means that the step must end, renew that half of the lease has passed; buffered
// and batch are in bytes.
func decide(st worker.State, over, renew bool, buffered, batch int) action {
	switch {
	case st.Err != nil:
		return fail
	case st.Failure != nil || st.Closed || over:
		return finish
	case renew:
		return checkpoint
	case buffered > batch/2:
		return await
	}
	return read
}

// catchUp is one step of an integration that reads the log from its own cursor
// and sends to a webhook.
type catchUp struct {
	*step
	worker  *worker.Worker
	changed chan struct{} // signalled when the worker has changed
	saved   int           // events acknowledged when the cursor was saved
	given   bool          // the worker got segments since the lease was renewed
}

// catchUp sends what the log has after the cursor to a webhook.
func (s *step) catchUp(ctx context.Context) (Next, error) {
	changed := make(chan struct{}, 1)
	w := s.engine.newWorker(ctx, s.target, s.cursor.Key.Lane, worker.Job{
		Start: s.cursor.AckState, Probe: s.cursor.Failures > 0, Changed: changed, Stop: s.ctx.Done(),
	})
	soft, halt := context.WithCancel(s.ctx)
	defer halt()
	s.soft = soft
	end, ok := s.engine.Registry.Begin(s.in.Tenant, s.in.ID, s.in.Generation, func() { w.Halt(); halt() }, w.Abandon)
	if !ok {
		return again, nil // stopped meanwhile
	}
	defer func() {
		w.Abandon()
		w.Drain()
		end()
	}()
	w.Extend(s.until)
	c := &catchUp{step: s, worker: w, changed: changed}
	for {
		st := w.State()
		over := s.ctx.Err() != nil || !s.engine.Now().Before(s.ends) || s.yield()
		buffered := w.Buffered()
		renew := (c.given || buffered > 0) && s.leaseHalfOver() // a step that has nothing reads first
		switch decide(st, over, renew, buffered, s.batchBytes()) {
		case fail:
			return again, st.Err
		case finish:
			return c.finish(ctx)
		case checkpoint:
			if err := c.checkpoint(ctx); err != nil {
				return again, err
			}
		case await:
			c.wait()
		case read:
			next, outcome, err := c.read(ctx, st)
			if err != nil || outcome != readMore {
				return next, err
			}
		}
	}
}

// read gives the worker the next segments. At the end of the log it waits until the
// worker is idle, then hands over to live delivery.
func (c *catchUp) read(ctx context.Context, st worker.State) (next Next, outcome endOutcome, err error) {
	segs, err := c.step.read(ctx, c.worker.Last())
	switch {
	case errors.Is(err, errHalted):
		return again, readMore, nil // the worker, or the step's context, says so
	case err != nil:
		return again, lost, err
	case len(segs) > 0:
		return again, readMore, c.give(ctx, segs)
	case !st.Idle:
		c.wait()
		return again, readMore, nil
	}
	if st.Acks > 0 {
		c.succeeded(c.engine.Now())
	}
	at := c.worker.AckState()
	c.tookResults()
	return c.endOfLog(ctx, at)
}

// give gives the worker segments. It first saves the ack state if anything was sent
// since, so that a crash repeats no more than is buffered. What a filter drops costs no
// write.
func (c *catchUp) give(ctx context.Context, segs []eventlog.Segment) error {
	if c.worker.State().Acks > c.saved {
		if err := c.checkpoint(ctx); err != nil {
			return err
		}
	}
	c.worker.Give(segs)
	c.given = true
	return nil
}

// finish ends the step: it waits for the calls in flight and saves the ack state.
func (c *catchUp) finish(ctx context.Context) (Next, error) {
	c.worker.Halt()
	c.worker.Drain()
	st := c.worker.State()
	if st.Err != nil {
		return again, st.Err
	}
	at := c.engine.Now()
	if st.Failure != nil {
		at = st.Failure.At
	}
	if st.Acks > 0 {
		c.succeeded(at)
	}
	c.cursor.AckState = c.worker.AckState()
	c.tookResults()
	if st.Failure != nil {
		return c.failed(ctx, st.Failure)
	}
	return again, c.release(ctx, c.engine.Now())
}

// checkpoint saves the ack state, renews the lease and extends the worker.
func (c *catchUp) checkpoint(ctx context.Context) error {
	acks := c.worker.State().Acks
	if acks > 0 {
		c.succeeded(c.engine.Now())
	}
	at := c.worker.AckState()
	c.tookResults()
	if err := c.save(ctx, at); err != nil {
		return err
	}
	c.worker.Extend(c.until)
	c.saved, c.given = acks, false
	return nil
}

// wait returns when the worker has changed, the lease needs renewing, or the step's
// context has ended.
func (c *catchUp) wait() {
	renewal := c.until.Sub(c.engine.Now()) - c.engine.Settings.FollowBudget/2
	if c.place != nil {
		renewal = min(renewal, yieldAfter)
	}
	timer := time.NewTimer(max(renewal, time.Millisecond))
	defer timer.Stop()
	select {
	case <-c.changed:
	case <-timer.C:
	case <-c.ctx.Done():
	}
}

func (s *step) leaseHalfOver() bool {
	return s.until.Sub(s.engine.Now()) <= s.engine.Settings.FollowBudget/2
}

// save saves the ack state and renews the lease.
func (s *step) save(ctx context.Context, at handoff.AckState) error {
	s.cursor.AckState = at
	return s.lease(ctx, s.commit)
}
