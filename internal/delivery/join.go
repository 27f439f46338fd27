package delivery

import (
	"context"
	"errors"
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// endOutcome is the outcome of a cursor at the end of the log.
type endOutcome int

const (
	readMore endOutcome = iota // there is more to read first
	joined                     // live delivery owns the integration, or its replay is complete
	lost                       // another actor has changed the cursor
)

// endOfLog completes a replay or hands over to live delivery. Everything read so far
// must be acknowledged. The Next is valid unless there is more to read.
func (s *step) endOfLog(ctx context.Context, at handoff.AckState) (Next, endOutcome, error) {
	if at.Offset.Segment < s.watermark { // nothing was read, so it was trimmed
		s.noteTrimmed()
		at = handoff.AckState{Offset: handoff.Offset{Segment: s.watermark}, Tally: at.Tally}
	}
	s.cursor.AckState = at
	s.noteSkipped()
	if !s.bounded {
		if err := s.bounds(ctx); err != nil {
			return again, lost, err
		}
		if s.bounded { // its end has become final: read up to it
			s.exhausted = false
			return again, readMore, nil
		}
	}
	if s.atBound(at.Offset) {
		return done, joined, s.complete(ctx)
	}
	var next Next
	var outcome endOutcome
	err := store.Transact(func() (err error) {
		next, outcome, err = s.join(ctx)
		if errors.Is(err, store.ErrConflict) && !s.owned(ctx) {
			next, outcome, err = again, lost, nil
		}
		return err
	})
	return next, outcome, err
}

// owned reports, after a conflict, whether the cursor is still as this step saved
// it. It returns false if the cursor cannot be read; the next step then decides.
func (s *step) owned(ctx context.Context) bool {
	c, err := s.engine.Store.Cursor(ctx, s.cursor.Key)
	return err == nil && c.Version == s.cursor.Version
}

func (s *step) join(ctx context.Context) (Next, endOutcome, error) {
	e, now := s.engine, s.engine.Now()
	state, err := e.Store.Partition(ctx, s.cursor.Key.Partition())
	if err != nil {
		return again, lost, err
	}
	mode, delay := s.mode(now)
	recheckAt := s.recheckAt(now)
	c := *s.cursor
	if !handoff.Join(state, &c, mode, delay, recheckAt, now) {
		s.watermark = state.LowWatermark
		return again, readMore, nil
	}
	if err := e.Store.Commit(ctx, s.withNotes(store.PutPartition{State: state}, store.PutCursor{Cursor: &c})...); err != nil {
		return again, lost, err
	}
	if recheckAt.IsZero() {
		return done, joined, nil
	}
	return Next{Wait: recheckAt.Sub(now)}, joined, nil
}

// mode returns the integration's mode in the live set: exports, and integrations
// that were recently evicted for being slow, are only woken.
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

// recheckAt returns when a live replay must check whether it is complete; zero for
// a permanent integration.
func (s *step) recheckAt(now time.Time) time.Time {
	if s.in.Type != integration.Temporary {
		return time.Time{}
	}
	if after := s.in.EndsAt.Add(time.Millisecond); after.After(now) {
		return after
	}
	return now.Add(s.engine.recheckInterval())
}

// recheckInterval is how often a replay past its end checks whether its end offset is
// final.
func (e *Engine) recheckInterval() time.Duration {
	if e.RecheckInterval > 0 {
		return e.RecheckInterval
	}
	return time.Minute
}
