package health

import (
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
)

// health computes an integration's health from its lanes; nil if it was deleted.
func (s *Service) health(in *integration.Integration, lanes []lane, now time.Time) *Health {
	h := &Health{State: Healthy}
	var tally handoff.Tally
	for i := range lanes {
		l := &lanes[i]
		if l.cursor == nil {
			return nil
		}
		h.Behind = h.Behind.plus(l.behind)
		tally = tally.Plus(l.tally)
		if s.catchesUp(in, l, now) {
			h.State = CatchingUp
		}
		if l.fails() && (h.Failing == nil || l.cursor.FailingSince.Before(h.Failing.Since)) {
			h.Failing = s.outage(l)
		}
	}
	h.DeliveredThrough, h.LastDeliveredAt = through(in, lanes), tally.DeliveredAt
	if in.Type == integration.Temporary {
		h.Progress = &Progress{Fraction: s.fraction(in, lanes, now), Tally: tally}
	}
	if h.Failing == nil {
		h.Failing = probed(in, lanes, h.DeliveredThrough)
	}
	switch {
	case !in.CompletedAt.IsZero():
		h.State, h.Failing = Complete, nil
	case !in.Running:
		h.State, h.Failing = Stopped, nil
		h.Reason, h.RestartBy = in.StoppedBy, in.RestartBy(s.Settings.Retention, s.Settings.Kept())
	case h.Failing != nil:
		h.State = Failing
	}
	return h
}

func (s *Service) outage(l *lane) *Outage {
	c := l.cursor
	o := &Outage{
		Since: c.FailingSince, Attempts: c.Failures, NextAttemptAt: c.DueAt, Status: c.Status, Cause: c.Cause,
		StopsAt: c.FailingSince.Add(s.Settings.FailureStopAfter),
	}
	if l.waits != nil {
		o.EventID, o.EventName = l.waits.ID, l.waits.Name
	}
	return o
}

// probed returns what a probe of the target has found, nil if nothing, or if something was
// published and got through since.
func probed(in *integration.Integration, lanes []lane, through time.Time) *Outage {
	u := in.Unreachable
	if u == nil || through.After(u.At) {
		return nil
	}
	o := &Outage{Since: u.At, Attempts: 1, Status: u.Status, Cause: u.Cause}
	for i := range lanes {
		if due := lanes[i].cursor.DueAt; !due.IsZero() && (o.NextAttemptAt.IsZero() || due.Before(o.NextAttemptAt)) {
			o.NextAttemptAt = due
		}
	}
	return o
}

// fileSlack is how long after its interval a file may be written, and longer than any
// lease.
const fileSlack = time.Minute

// catchesUp reports whether a lane reads the log on its own, and does not only wait for
// its next file.
func (s *Service) catchesUp(in *integration.Integration, l *lane, now time.Time) bool {
	if l.cursor.State != handoff.Scheduled || l.behind.Events == 0 {
		return false
	}
	if in.S3 == nil {
		return true
	}
	waits := l.cursor.DueAt.Sub(now) > fileSlack || now.Sub(l.behind.Oldest) <= s.Settings.S3FileInterval+fileSlack
	return !waits
}

// through returns the time up to which everything in the log is acknowledged: what the
// lane that is furthest behind lacks is later.
func through(in *integration.Integration, lanes []lane) time.Time {
	var lacks, last time.Time
	for i := range lanes {
		l := &lanes[i]
		switch {
		case l.cursor.State == handoff.Finished:
			last = later(last, in.EndsAt)
		case l.behind.Events == 0:
			last = later(last, l.rest.Last)
		case lacks.IsZero() || l.behind.Oldest.Before(lacks):
			lacks = l.behind.Oldest
		}
	}
	at := last
	if !lacks.IsZero() {
		at = lacks.Add(-time.Millisecond)
	}
	if !in.EndsAt.IsZero() && at.After(in.EndsAt) {
		return in.EndsAt
	}
	return at
}

// fraction returns how much of its time span a replay has passed: what the log kept of it
// when it was registered.
func (s *Service) fraction(in *integration.Integration, lanes []lane, now time.Time) float64 {
	if !in.CompletedAt.IsZero() {
		return 1
	}
	from := later(in.StartsAt, in.CreatedAt.Add(-s.Settings.Retention))
	at := in.EndsAt
	for i := range lanes {
		reached := now
		switch l := &lanes[i]; {
		case l.cursor.State == handoff.Finished:
			continue
		case l.behind.Events > 0:
			reached = l.behind.Oldest
		}
		if reached.Before(at) {
			at = reached
		}
	}
	if !in.EndsAt.After(from) {
		return 0
	}
	return min(max(at.Sub(from).Seconds()/in.EndsAt.Sub(from).Seconds(), 0), 1)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
