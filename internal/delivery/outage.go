package delivery

import (
	"fmt"
	"time"

	"github.com/sluicehq/sluice/internal/backoff"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// backOff records a failed attempt in the cursor and sets its DueAt. It returns a
// log entry for the attempts 1, 2, 4, 8 and so on of an outage, and whenever the
// cause has changed: an outage of days is a dozen lines in the log.
func (e *Engine) backOff(in *integration.Integration, c *handoff.Cursor, f *worker.Failure) []store.AddEntry {
	c.Failures++
	if c.FailingSince.IsZero() {
		c.FailingSince = f.At
	}
	pause := backoff.Full(e.Settings.RetryMin, c.Failures, e.Settings.RetryMax, e.Rand)
	c.DueAt = f.At.Add(max(f.Verdict.RetryAfter, pause))
	c.Status = f.Verdict.Status
	c.TriedAt, c.TookMS = f.Verdict.Started.UTC().Truncate(time.Millisecond), f.Verdict.Took.Milliseconds()
	if powerOfTwo := c.Failures&(c.Failures-1) == 0; !powerOfTwo && c.Cause == f.Verdict.Cause {
		return nil
	}
	c.Cause = f.Verdict.Cause
	return []store.AddEntry{{History: store.HistoryOf(in), Entry: integration.LogEntry{
		Action: integration.ActionRetryTriggered, Reason: retryReason(c, f, f.Verdict.RetryAfter > pause), CreatedAt: f.At,
	}}}
}

// retryReason says why an attempt failed, which one of the outage it was, and when
// the next one is. asked means that the receiver's Retry-After decides that.
func retryReason(c *handoff.Cursor, f *worker.Failure, asked bool) string {
	attempt := fmt.Sprintf("Attempt %d", c.Failures)
	if f.Event != nil {
		attempt = fmt.Sprintf("Event %s (%s), attempt %d", f.Event.ID, f.Event.Name, c.Failures)
	}
	why := ""
	if asked {
		why = ", as its Retry-After asks"
	}
	return fmt.Sprintf("%s %s since %s; the next one is at %s%s.",
		f.Verdict.Reason, attempt, event.FormatTime(c.FailingSince), event.FormatTime(c.DueAt), why)
}

// recovered ends the outage of a cursor after a success at the given time, and
// returns the log entry for it. It does nothing without an outage.
func recovered(in *integration.Integration, c *handoff.Cursor, at time.Time) []store.AddEntry {
	if c.Failures == 0 {
		return nil
	}
	attempts := "1 attempt"
	if c.Failures > 1 {
		attempts = fmt.Sprintf("%d attempts", c.Failures)
	}
	took := integration.About(max(at.Sub(c.FailingSince), 0))
	c.EndOutage()
	return []store.AddEntry{{History: store.HistoryOf(in), Entry: integration.LogEntry{
		Action: integration.ActionRecovered, CreatedAt: at,
		Reason: fmt.Sprintf("Delivering again after %s in %s.", attempts, took),
	}}}
}
