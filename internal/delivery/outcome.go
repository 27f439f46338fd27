package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// record stores what has to be kept of a verdict before the event counts as
// through: an event that the receiver refused. A run of them is said loudly.
func (e *Engine) record(ctx context.Context, t *target, ev *event.Event, attempt int, v Verdict) error {
	switch v.Outcome {
	case Delivered:
		t.rejections.Store(0)
		return nil
	case Rejected:
	default:
		return nil
	}
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	loud := t.rejections.Load()+1 == longRun
	err := repeat(func() error { return e.keepRejected(ctx, t.in, ev, attempt, v, loud) })
	if err != nil {
		return err
	}
	t.rejections.Add(1)
	if loud {
		e.Logger.WarnContext(ctx, "receiver rejects everything",
			"tenant", t.in.Tenant, "integration", t.in.ID, "rejected_in_a_row", longRun, "reason", v.Reason)
	}
	return nil
}

// longRun is how many rejections without a delivery between them are said loudly:
// one event may be bad, but not twenty in a row.
const longRun = 20

// keepRejected writes a rejected event, the list it is in, and what the log says
// of it. An event that is in the list already, as after a crash, is left as it is.
func (e *Engine) keepRejected(ctx context.Context, in *integration.Integration, ev *event.Event, attempt int, v Verdict, loud bool) error {
	h, now := store.HistoryOf(in), e.Now()
	index, err := e.Store.RejectedIndex(ctx, h)
	if err != nil {
		return err
	}
	var writes []store.Write
	say := func(action integration.Action, format string, args ...any) {
		writes = append(writes, store.AddEntry{History: h, Entry: integration.LogEntry{
			Action: action, CreatedAt: now, Reason: fmt.Sprintf(format, args...),
		}})
	}
	if !slices.ContainsFunc(index.Entries, func(r integration.RejectedEntry) bool { return r.EventID == ev.ID }) {
		index.Entries = append(index.Entries, integration.RejectedEntry{EventID: ev.ID, CreatedAt: now})
		writes = append(writes, store.PutRejected{History: h, Rejected: &integration.Rejected{Event: *ev, CreatedAt: now, Attempts: attempt}})
		say(integration.ActionEventRejected, "Event %s (%s) was rejected. %s", ev.ID, ev.Name, v.Reason)
		for n := 0; len(index.Entries) > e.Settings.MaxRejected && n < maxEvicted; n++ {
			oldest := index.Entries[0].EventID
			index.Entries = index.Entries[1:]
			writes = append(writes, store.DeleteRejected{History: h, EventID: oldest})
			say(integration.ActionRejectedEvicted, "Rejected event %s was evicted: only the newest %d are kept. A replay can bring it back.", oldest, e.Settings.MaxRejected)
		}
		writes = append(writes, store.PutRejectedIndex{History: h, Index: index})
	}
	if loud {
		say(integration.ActionEventRejected, longRunReason, longRun, e.Settings.MaxRejected)
	}
	if len(writes) == 0 {
		return nil
	}
	return e.Store.Commit(ctx, writes...)
}

const longRunReason = "ATTENTION: the last %d answers were all 400, so every event leaves the stream for the list of rejected events, " +
	"of which only the newest %d are kept. Stop the integration, check callback_url and the receiver, and start it again. " +
	"Then retry the rejected events; a replay brings back those that were evicted."

// maxEvicted keeps a rejection within one Commit where the setting was lowered;
// the next ones evict the rest.
const maxEvicted = 40

// maxConflicts is how often a transaction that met a conflict is tried again.
// Each conflict means that somebody else got on.
const maxConflicts = 50

// repeat calls transact again for as long as it meets a conflict.
func repeat(transact func() error) error {
	var err error
	for range maxConflicts {
		if err = transact(); !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return err
}

// stand makes a cursor wait after a failed attempt, and returns the entry that
// says so.
func (e *Engine) stand(in *integration.Integration, c *handoff.Cursor, f *failure) store.Write {
	c.Failures++
	if c.FailingSince.IsZero() {
		c.FailingSince = f.at
	}
	pause := max(f.verdict.RetryAfter, Backoff(c.Failures, e.Settings.RetryMin, e.Settings.RetryMax, e.random()))
	c.DueAt = f.at.Add(pause)
	return store.AddEntry{History: store.HistoryOf(in), Entry: integration.LogEntry{
		Action: integration.ActionRetryTriggered, Reason: f.verdict.Reason, CreatedAt: f.at,
	}}
}

// gaveUp reports whether a cursor has failed for so long that its integration
// is to be stopped, and stops it.
func (e *Engine) gaveUp(ctx context.Context, in *integration.Integration, c *handoff.Cursor, f *failure) (bool, error) {
	if c.FailingSince.IsZero() || f.at.Sub(c.FailingSince) < e.Settings.FailureStopAfter {
		return false, nil
	}
	reason := fmt.Sprintf("Stopped: every attempt has failed since %s. %s Start it again within %s and nothing is lost.",
		event.FormatTime(c.FailingSince), f.verdict.Reason, span(e.Settings.Retention))
	return true, e.Lifecycle.StopFailing(ctx, in.Tenant, in.ID, in.Generation, reason)
}

// span is a time for people: "30 days", or "36h0m0s".
func span(d time.Duration) string {
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}

// finish records that a replay has read one lane to its end; with the last lane
// the integration stops by itself. The caller holds the cursor.
func (e *Engine) finish(ctx context.Context, c *handoff.Cursor) error {
	held := c.Version
	return repeat(func() error {
		in, err := e.Store.Integration(ctx, c.Key.Tenant, c.Key.Integration)
		if err != nil {
			return err
		}
		if in.Generation != c.Generation {
			return nil // a stop was first; a start lets this lane finish again
		}
		now := e.Now()
		done := *c
		done.Version, done.State, done.DueAt = held, handoff.Finished, time.Time{}
		writes := []store.Write{store.PutCursor{Cursor: &done}, store.PutIntegration{Integration: in}}
		for _, left := range []time.Time{in.StoppedAt, c.LeftAt} {
			if quiet := left.Add(e.QuietAfter()); !left.IsZero() && quiet.After(in.QuietAt) {
				in.QuietAt = quiet // who served it before may still have a call under way
			}
		}
		if in.OpenLanes--; in.OpenLanes == 0 {
			in.Running, in.StoppedAt, in.CompletedAt = false, now, now
			if in.QuietAt.Before(now) {
				in.QuietAt = now
			}
			writes = append(writes, store.AddEntry{History: store.HistoryOf(in), Entry: integration.LogEntry{
				Action: integration.ActionStopped, CreatedAt: now,
				Reason: "Stopped: the replay is complete, every event up to " + event.FormatTime(in.EndsAt) + " was delivered.",
			}})
		}
		err = e.Store.Commit(ctx, writes...)
		if errors.Is(err, store.ErrConflict) {
			if now, e2 := e.Store.Cursor(ctx, c.Key); e2 != nil || now.Version != held {
				return e2 // the cursor is not ours any more
			}
		}
		return err
	})
}
