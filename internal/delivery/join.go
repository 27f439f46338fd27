package delivery

import (
	"errors"
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// endOutcome is what comes of a cursor at the end of the log.
type endOutcome int

const (
	readMore endOutcome = iota // there is more to read first
	joined                     // live delivery has the integration, or its replay is complete
	lost                       // another actor has moved the cursor
)

// endOfLog completes a replay or hands over to live delivery, where everything
// read so far is acknowledged. The Step is what comes next unless there is more
// to read.
func (s *step) endOfLog(at handoff.AckState) (Step, endOutcome, error) {
	if at.Offset.Segment < s.watermark { // there is nothing to read, so it is trimmed
		if err := s.engine.skipped(s.hard, s.in); err != nil {
			return again, lost, err
		}
		at = handoff.AckState{Offset: handoff.Offset{Segment: s.watermark}}
	}
	s.cursor.AckState = at
	if !s.bounded {
		if err := s.bounds(); err != nil {
			return again, lost, err
		}
		if s.bounded { // its end has passed meanwhile: read what there is up to it
			s.complete = false
			return again, readMore, nil
		}
	}
	if s.atBound(at.Offset) {
		return done, joined, s.engine.complete(s.hard, s.cursor)
	}
	var next Step
	var outcome endOutcome
	err := store.Transact(func() (err error) {
		next, outcome, err = s.join()
		if errors.Is(err, store.ErrConflict) && !s.owned() {
			next, outcome, err = again, lost, nil
		}
		return err
	})
	return next, outcome, err
}

// owned reports whether the cursor is still as this step wrote it, after a
// conflict. What cannot be read is left to the next step.
func (s *step) owned() bool {
	c, err := s.engine.Store.Cursor(s.hard, s.cursor.Key)
	return err == nil && c.Version == s.cursor.Version
}

func (s *step) join() (Step, endOutcome, error) {
	e, now := s.engine, s.engine.Now()
	state, err := e.Store.Partition(s.hard, s.cursor.Key.Partition())
	if err != nil {
		return again, lost, err
	}
	mode, delay := s.mode(now)
	takeBack := s.takeBack(now)
	c := *s.cursor
	if !handoff.Join(state, &c, mode, delay, takeBack, now) {
		s.watermark = state.LowWatermark
		return again, readMore, nil
	}
	if err := e.Store.Commit(s.hard, store.PutPartition{State: state}, store.PutCursor{Cursor: &c}); err != nil {
		return again, lost, err
	}
	if takeBack.IsZero() {
		return done, joined, nil
	}
	return Step{Wait: takeBack.Sub(now)}, joined, nil
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
	return now.Add(s.engine.recheckPause())
}

// recheckPause is how often a replay that is past its end looks whether the log
// has settled for it.
func (e *Engine) recheckPause() time.Duration {
	if e.RecheckPause > 0 {
		return e.RecheckPause
	}
	return time.Minute
}
