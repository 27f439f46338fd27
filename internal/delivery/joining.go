package delivery

import (
	"errors"
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// endOfLog finishes a replay or hands over to the follow loop, where everything
// read so far is through. More says that there is more to read first.
func (s *step) endOfLog(at handoff.Progress) (next Step, more bool, err error) {
	if at.Position.Segment < s.delivered { // there is nothing to read, so it is trimmed
		if err := s.engine.skipped(s.hard, s.in); err != nil {
			return again, false, err
		}
		at = handoff.Progress{Position: handoff.Position{Segment: s.delivered}}
	}
	s.cursor.Progress = at
	if !s.bounded {
		if err := s.bounds(); err != nil {
			return again, false, err
		}
		if s.bounded { // its end has passed meanwhile: read what there is up to it
			s.complete = false
			return again, true, nil
		}
	}
	if s.atBound(at.Position) {
		return done, false, s.engine.finish(s.hard, s.cursor)
	}
	err = repeat(func() error {
		next, more, err = s.join()
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		// The follow loop has committed meanwhile, or the cursor is not ours.
		if c, e2 := s.engine.Store.Cursor(s.hard, s.cursor.Key); e2 != nil || c.Version != s.cursor.Version {
			more = false
			next = again
			return e2
		}
		return err
	})
	return next, more, err
}

func (s *step) join() (next Step, more bool, err error) {
	e, now := s.engine, s.engine.Now()
	r, err := e.Store.Record(s.hard, s.cursor.Key.Partition())
	if err != nil {
		return again, false, err
	}
	mode, delay := s.mode(now)
	takeBack := s.takeBack(now)
	c := *s.cursor
	if !handoff.Join(r, &c, mode, delay, takeBack, now) {
		s.delivered = r.Delivered
		return again, true, nil
	}
	if err := e.Store.Commit(s.hard, store.PutRecord{Record: r}, store.PutCursor{Cursor: &c}); err != nil {
		return again, false, err
	}
	if takeBack.IsZero() {
		return done, false, nil
	}
	return Step{Wait: takeBack.Sub(now)}, false, nil
}

// mode says how the integration follows: exports, and those that were too slow
// lately, are only woken.
func (s *step) mode(now time.Time) (handoff.Mode, time.Duration) {
	switch {
	case s.in.S3 != nil:
		return handoff.Wake, s.engine.Settings.S3FileInterval
	case now.Before(s.cursor.SlowUntil):
		return handoff.Wake, 0
	default:
		return handoff.Deliver, 0
	}
}

// takeBack is when a replay that follows the live stream has to look whether it
// is complete; zero for a permanent integration.
func (s *step) takeBack(now time.Time) time.Time {
	if s.in.Type != integration.Temporary {
		return time.Time{}
	}
	if after := s.in.EndsAt.Add(time.Millisecond); after.After(now) {
		return after
	}
	return now.Add(s.engine.settlePause())
}

// settlePause is how often a replay that is past its end looks whether the log
// has settled for it.
func (e *Engine) settlePause() time.Duration {
	if e.SettlePause > 0 {
		return e.SettlePause
	}
	return time.Minute
}
