package delivery

import (
	"context"
	"fmt"
	"slices"
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
	reason := fmt.Sprintf("Stopped: every attempt has failed since %s. %s Start it again within %s to lose no event.",
		event.FormatTime(c.FailingSince), f.Verdict.Reason, integration.Span(e.Settings.Retention))
	return true, e.Lifecycle.StopFailing(ctx, in.Tenant, in.ID, in.Generation, reason)
}

// complete records that a replay is complete in one lane, and stops the integration
// after its last lane, after the given log entries. It does nothing if another actor
// has changed the cursor.
func (e *Engine) complete(ctx context.Context, c *handoff.Cursor, notes []store.Write) error {
	return store.Transact(func() error {
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
		writes := slices.Concat(notes, []store.Write{store.PutCursor{Cursor: &finished}, store.PutIntegration{Integration: in}})
		for _, left := range []time.Time{in.StoppedAt, c.LeftAt} {
			in.QuietNotBefore(left, QuietAfter(e.Settings)) // an earlier owner may still have a call in flight
		}
		if in.FinishLane(now) {
			if e.SoleOwner != nil && e.Registry.Alone(in.Tenant, in.ID) {
				in.QuietAt = now // all owners are of this process, and have ended
			}
			skipped, err := e.lookBack(ctx, in, &finished)
			if err != nil {
				return err
			}
			writes = append(writes, store.AddEntry{History: store.HistoryOf(in), Entry: integration.LogEntry{
				Action: integration.ActionStopped, CreatedAt: now, Reason: completeReason(in, skipped),
			}})
		}
		return e.Store.Commit(ctx, writes...)
	})
}

// lookBack reads the cursors of a replay that is complete, but the given one of the last
// lane. It extends QuietAt to when no bucket can store a file of the replay's any more, and
// reports whether events were skipped in any lane.
func (e *Engine) lookBack(ctx context.Context, in *integration.Integration, last *handoff.Cursor) (skipped bool, err error) {
	for lane := range in.Lanes {
		c := last
		if lane != last.Key.Lane {
			if c, err = e.Store.Cursor(ctx, handoff.Key{Tenant: in.Tenant, Integration: in.ID, Lane: lane}); err != nil {
				return false, err
			}
		}
		in.QuietNotBefore(c.FilesUntil(), 0)
		skipped = skipped || c.Skipped
	}
	return skipped, nil
}

func completeReason(in *integration.Integration, skipped bool) string {
	reason := "Stopped: the replay is complete. Every event up to " + event.FormatTime(in.EndsAt) + " was delivered"
	if skipped {
		reason += ", except those that this log says were skipped"
	}
	return reason + "."
}
