package delivery

import (
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
)

// catchUp sends what the log has after the cursor to a webhook.
func (s *step) catchUp() (Step, error) {
	signal := make(chan struct{}, 1)
	r := s.engine.newRider(s.hard, s.target, s.cursor.Key.Lane, s.cursor.Progress, s.cursor.Failures > 0, signal)
	end, ok := s.engine.activities.begin(s.in.Tenant, s.in.ID, s.in.Generation, r.halt, r.abandon)
	if !ok {
		return again, nil // stopped meanwhile
	}
	defer func() {
		r.abandon()
		r.quiet()
		end()
	}()
	r.extend(s.until)
	unsaved := false // segments were given since the cursor was written
	for {
		st := r.state()
		switch {
		case st.err != nil:
			return again, st.err
		case st.failure != nil || st.closed:
			return s.rest(r)
		case s.ctx.Err() != nil || !s.engine.Now().Before(s.ends):
			r.halt()
			return s.rest(r)
		}
		if s.leaseHalfOver() {
			if err := s.checkpoint(r, st); err != nil {
				return again, err
			}
			unsaved = false
		}
		if r.inHand() > s.engine.batchBytes()/2 {
			s.wait(signal)
			continue
		}
		segs, err := s.read(r.last())
		if err != nil {
			return again, err
		}
		switch {
		case len(segs) > 0 && unsaved: // so that a crash repeats no more than is in hand
			if err := s.checkpoint(r, st); err != nil {
				return again, err
			}
			r.give(segs)
		case len(segs) > 0:
			r.give(segs)
			unsaved = true
		case !st.idle:
			s.wait(signal)
		default:
			if st.passed > 0 {
				s.succeeded()
			}
			next, more, err := s.endOfLog(r.progress())
			if err != nil || !more {
				return next, err
			}
		}
	}
}

// rest waits for the calls under way and writes how far it came.
func (s *step) rest(r *rider) (Step, error) {
	r.quiet()
	st := r.state()
	if st.err != nil {
		return again, st.err
	}
	if st.passed > 0 {
		s.succeeded()
	}
	s.cursor.Progress = r.progress()
	if st.failure != nil {
		return s.failed(st.failure)
	}
	return again, s.release(s.engine.Now())
}

// checkpoint writes the progress, renews the lease and lets the rider go on.
func (s *step) checkpoint(r *rider, st riderState) error {
	if st.passed > 0 {
		s.succeeded()
	}
	if err := s.save(r.progress()); err != nil {
		return err
	}
	r.extend(s.until)
	return nil
}

func (s *step) leaseHalfOver() bool {
	return s.until.Sub(s.engine.Now()) <= s.engine.Settings.FollowBudget/2
}

// wait returns when the rider has something to tell, the lease needs renewing,
// or the step is to end.
func (s *step) wait(signal <-chan struct{}) {
	renewal := s.until.Sub(s.engine.Now()) - s.engine.Settings.FollowBudget/2
	timer := time.NewTimer(max(renewal, time.Millisecond))
	defer timer.Stop()
	select {
	case <-signal:
	case <-timer.C:
	case <-s.ctx.Done():
	}
}

// save writes the progress and keeps the lease.
func (s *step) save(at handoff.Progress) error {
	s.cursor.Progress = at
	return s.lease(s.hard)
}
