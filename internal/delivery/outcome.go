package delivery

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// stopIfFailing stops the integration if its cursor has failed for FailureStopAfter, and
// reports whether it did.
func (s *step) stopIfFailing(ctx context.Context, f *worker.Failure) (bool, error) {
	e, in, c := s.engine, s.in, s.cursor
	if c.FailingSince.IsZero() || f.At.Sub(c.FailingSince) < e.Settings.FailureStopAfter {
		return false, nil
	}
	if c.Upload != s.last.Upload { // the stop reads in the stored cursor whether a file may appear
		if err := s.release(ctx, c.DueAt); err != nil {
			return false, err
		}
	}
	reason := fmt.Sprintf("Stopped: every attempt has failed since %s. %s", event.FormatTime(c.FailingSince), f.Verdict.Reason)
	return true, e.Lifecycle.StopFailing(ctx, in.Tenant, in.ID, in.Generation, reason)
}

// complete records that a replay is complete in one lane, and stops the integration
// after its last lane, after the step's log entries. It does nothing if another actor
// has changed the cursor.
func (s *step) complete(ctx context.Context) error {
	e, c := s.engine, s.cursor
	var completed *integration.Integration // unless another lane goes on
	var filesUntil time.Time
	err := store.Transact(func() error {
		completed = nil
		stored, err := e.Store.Cursor(ctx, c.Key)
		if err != nil || stored.Version != c.Version {
			return err
		}
		in, err := e.Store.Integration(ctx, c.Key.Tenant, c.Key.Integration)
		if err != nil || in.Generation != c.Generation {
			return err // it was stopped first; after a start this lane finishes again
		}
		now := e.Now()
		finished := *c
		handoff.Finish(&finished)
		writes := s.withNotes(store.PutCursor{Cursor: &finished}, store.PutIntegration{Integration: in})
		s.awaitEarlierOwners(in)
		if in.FinishLane(now) {
			all, err := e.lookBack(ctx, in, &finished)
			if err != nil {
				return err
			}
			kept, err := e.kept(ctx, in, all)
			if err != nil {
				return err
			}
			in.QuietNotBefore(all.filesUntil, 0)
			writes = append(writes, store.AddEntry{History: store.HistoryOf(in), Entry: integration.LogEntry{
				Action: integration.ActionStopped, CreatedAt: now, Reason: completeReason(in, all, kept, e.Settings.Retention),
			}})
			completed, filesUntil = in, all.filesUntil
		}
		return e.Store.Commit(ctx, writes...)
	})
	if err == nil && completed != nil {
		e.retire(ctx, completed, filesUntil)
	}
	return err
}

// awaitEarlierOwners keeps a replay stopping for as long as an earlier owner of the lane
// may have a call in flight. Live delivery may have read that it owns the lane just before
// the commit that took it away, so LeftAt, the time before that commit, is too early: the
// store may have taken long.
func (s *step) awaitEarlierOwners(in *integration.Integration) {
	if !s.cursor.LeftAt.IsZero() {
		in.QuietNotBefore(s.leftBy, QuietAfter(s.engine.Settings))
	}
}

// retire reports a complete replay as stopped at once where all owners are of this
// process and have ended. Live delivery may have read an older state, so it is kept
// from beginning first. A bucket may still store a file until filesUntil. If the commit
// fails, the replay is stopping for a while.
func (e *Engine) retire(ctx context.Context, in *integration.Integration, filesUntil time.Time) {
	if e.SoleOwner == nil || !in.QuietAt.After(in.CompletedAt) || !e.Registry.Retire(in.Tenant, in.ID, in.Generation+1) {
		return
	}
	in.QuietAt = in.CompletedAt
	in.QuietNotBefore(filesUntil, 0)
	_ = e.Store.Commit(ctx, store.PutIntegration{Integration: in})
}

// summary is what the lanes of a replay have in common.
type summary struct {
	tally   handoff.Tally
	skipped bool // events were skipped in some lane, and the log says so

	filesUntil time.Time // when no bucket can store a file of the replay's any more
}

// lookBack reads the cursors of a replay that is complete, but the given one of the last
// lane.
func (e *Engine) lookBack(ctx context.Context, in *integration.Integration, last *handoff.Cursor) (all summary, err error) {
	for lane := range in.Lanes {
		c := last
		if lane != last.Key.Lane {
			if c, err = e.Store.Cursor(ctx, handoff.Key{Tenant: in.Tenant, Integration: in.ID, Lane: lane}); err != nil {
				return all, err
			}
		}
		if until := c.FilesUntil(); until.After(all.filesUntil) {
			all.filesUntil = until
		}
		all.tally = all.tally.Plus(c.Tally)
		all.skipped = all.skipped || c.Skipped
	}
	return all, nil
}

// kept returns how many of the rejected events of a replay are in its list.
func (e *Engine) kept(ctx context.Context, in *integration.Integration, all summary) (n int, err error) {
	if all.tally.Rejected == 0 {
		return 0, nil
	}
	list, err := e.Store.OldestRejected(ctx, store.HistoryOf(in), math.MaxInt32)
	for i := range list {
		if list[i].Reason != integration.ReasonSkipped {
			n++
		}
	}
	return n, err
}

// completeReason tells what became of the events of a replay; kept is how many of the
// rejected ones are in its list.
func completeReason(in *integration.Integration, all summary, kept int, retention time.Duration) string {
	if !in.Counted {
		return "Stopped: the replay is complete up to " + event.FormatTime(in.EndsAt) + ". It was registered with an earlier release, which did not count events."
	}
	t := all.tally
	rejected := fmt.Sprintf("%d rejected", t.Rejected)
	if t.Rejected > 0 {
		rejected += fmt.Sprintf(" (%d of them kept)", min(kept, t.Rejected))
	}
	reason := fmt.Sprintf("Stopped: the replay is complete. Of %d events read up to %s: %d filtered out, %d delivered, %s, %d skipped.",
		t.Read(), event.FormatTime(in.EndsAt), t.Filtered, t.Delivered, rejected, t.Skipped)
	if oldest := in.CreatedAt.Add(-retention); in.StartsAt.Before(oldest) {
		reason += " Events published before " + event.FormatTime(oldest) + " were no longer stored."
	}
	switch {
	case all.skipped && t.Skipped == 0:
		reason += " Others were skipped, as this log says."
	case all.skipped:
		reason += " This log says what was skipped."
	}
	return reason
}
