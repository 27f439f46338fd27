package story

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/standing"
)

// facts are what is known of an event and an integration.
type facts struct {
	service *Service
	in      *integration.Integration
	place   *place
	where   *standing.Standing // nil if it has no cursor in the event's lane yet
	state   int                // of the event: handoff.Acked, or the number of failed attempts
	now     time.Time
	// delivery is what is recorded of the event, read after its state; nil if nothing is.
	delivery *deliveries.Delivery
}

// stateOf returns what an ack state knows of the event at a place: handoff.Acked, or the
// number of failed attempts. It reads the log only as far as the state knows more than its
// offset.
func (s *Service) stateOf(ctx context.Context, at handoff.AckState, pl *place) (int, error) {
	next, events := at.Offset.Segment+1, 0
	switch {
	case pl.segment < next:
		return handoff.Acked, nil
	case pl.segment == next:
		return at.StateOf(pl.index), nil
	}
	for events < at.Offset.Index+len(at.Ahead) {
		segments, err := s.read(ctx, pl.partition, next-1, firstRead)
		if err != nil || len(segments) == 0 {
			return 0, err
		}
		for i := range segments {
			seg := &segments[i]
			switch {
			case seg.Number != next || seg.Damage != nil:
				return 0, nil // the states are of events that are not there
			case seg.Number == pl.segment:
				return at.StateOf(events + pl.index), nil
			}
			next, events = next+1, events+len(seg.Events)
		}
	}
	return 0, nil
}

// judge returns the verdict, and why. What was published before the place to which a start
// has moved the position is not sent any more, even where the position is a little earlier.
func (f *facts) judge(ctx context.Context) (Verdict, string, error) {
	past := f.state == handoff.Acked || f.place.event.PublishedAt.Before(f.in.MovedTo)
	if f.where != nil && past {
		return f.through(ctx)
	}
	v, because := f.ahead()
	return v, because, nil
}

// passes reports whether the filter passes the event, by its name.
func (f *facts) passes() bool {
	return f.in.Filter.Pass(f.place.event)
}

func (f *facts) filtered() (Verdict, string, bool) {
	return Filtered, fmt.Sprintf("Its filter_conditions do not pass %s.", f.place.event.Name), !f.passes()
}

// outside tells of an event that was published before what the integration gets from its
// registration on, or after that.
func (f *facts) outside() (Verdict, string, bool) {
	at, from, until := f.place.event.PublishedAt, f.in.BornAt(), f.in.EndsAt
	switch {
	case at.Before(from):
		return BeforeStart, fmt.Sprintf("It gets what was published from %s on, and the event was before.", event.FormatTime(from)), true
	case !until.IsZero() && at.After(until):
		return AfterEnd, fmt.Sprintf("It gets what was published until %s, and the event was later.", event.FormatTime(until)), true
	}
	return "", "", false
}

// ahead tells of an event that is not acknowledged. One that was delivered all the same is
// after a place to which a start has moved the position back.
func (f *facts) ahead() (Verdict, string) {
	if d := f.delivery; d != nil && d.Outcome == deliveries.Delivered {
		return Delivered, recorded(d) + " The position is before it now, so it may be sent again."
	}
	if v, because, ok := f.filtered(); ok {
		return v, because
	}
	// Without a starts_at, all that it is not past is sent, whatever the clocks say.
	if v, because, ok := f.outside(); ok && !f.in.StartsAt.IsZero() && f.in.MovedTo.IsZero() {
		return v, because
	}
	switch {
	case f.where == nil && f.place.event.PublishedAt.Before(f.in.ReceivesFrom()):
		return BeforeStart, fmt.Sprintf("It gets what was published from %s on, and the event was before.", event.FormatTime(f.in.ReceivesFrom()))
	case !f.in.CompletedAt.IsZero() || f.where != nil && f.where.Cursor.State == handoff.Finished:
		return AfterEnd, "The replay was complete before the event was in the log."
	case !f.in.Running:
		return f.stopped()
	case f.where == nil:
		return Pending, "The integration is about to read the lane of the log that has the event."
	}
	if f.tried() {
		return Retrying, f.retries()
	}
	return Pending, f.waits()
}

func (f *facts) stopped() (Verdict, string) {
	when := "was stopped via API"
	if f.in.StoppedBy == integration.StoppedAfterFailing {
		when = "was stopped, as its receiver failed for too long,"
	}
	when = fmt.Sprintf("The integration %s at %s", when, event.FormatTime(f.in.StoppedAt))
	if f.state > 0 {
		when += fmt.Sprintf(", after %s of this event", count(f.state, "failed attempt"))
	}
	retention := f.service.Settings.Retention
	if f.in.Type == integration.Temporary {
		return Stopped, when + "; a start sends the event."
	}
	if f.now.After(f.in.StoppedAt.Add(retention)) {
		return Expired, fmt.Sprintf("%s, longer ago than the retention of %s: a start leaves the event out, unless it is one from an earlier time.", when, integration.Span(retention))
	}
	alone := *f.in
	alone.OldestWaiting = f.place.event.PublishedAt // what else waits may leave the log sooner
	return Stopped, fmt.Sprintf("%s; a start until %s sends the event.", when, event.FormatTime(alone.RestartBy(retention, f.service.Settings.Kept())))
}

// tried reports whether an attempt to send the event has failed. Of a file it is not known
// which events it had: those that were there when the attempts began to fail.
func (f *facts) tried() bool {
	c := f.where.Cursor
	if f.in.S3 != nil {
		return !f.place.event.PublishedAt.After(c.FailingSince)
	}
	return f.state > 0
}

func (f *facts) retries() string {
	c := f.where.Cursor
	if f.in.S3 != nil {
		return fmt.Sprintf("The file that it goes into could not be stored: %s, at present: %s. The next is %s.",
			count(c.Failures, "attempt"), c.Cause, f.due())
	}
	failed := count(f.state, "attempt") + " failed"
	if c.Failures == 0 {
		return failed + ", and it is being sent again."
	}
	return fmt.Sprintf("%s; the receiver's last failure: %s. The next attempt is %s.", failed, c.Cause, f.due())
}

// due says when the cursor is advanced next.
func (f *facts) due() string {
	if at := f.where.Cursor.DueAt; at.After(f.now) {
		return "at " + event.FormatTime(at)
	}
	return "being made now"
}

// waits says what an untried event waits for.
func (f *facts) waits() string {
	c := f.where.Cursor
	switch {
	case f.in.S3 != nil && c.Failures > 0:
		return fmt.Sprintf("It goes into a later file; since %s none could be stored: %s. The next attempt is %s.", event.FormatTime(c.FailingSince), c.Cause, f.due())
	case f.in.S3 != nil && c.State == handoff.Scheduled && c.DueAt.After(f.now):
		return fmt.Sprintf("It goes into the next file, which is begun at %s.", event.FormatTime(c.DueAt))
	case f.in.S3 != nil:
		return fmt.Sprintf("It goes into the next file; one is begun every %s.", integration.Span(f.service.Settings.S3FileInterval))
	case c.Failures > 0:
		return fmt.Sprintf("It waits until the receiver takes the events before it; since %s it fails: %s. The next attempt is %s.", event.FormatTime(c.FailingSince), c.Cause, f.due())
	case c.State == handoff.Live:
		return "It is being sent, or is about to be."
	}
	return "The integration reads the log from an earlier place on, and has yet to send it."
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
