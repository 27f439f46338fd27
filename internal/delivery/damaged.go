package delivery

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// foundDamaged takes note of the damaged segments among those that were read.
func (s *step) foundDamaged(segs []eventlog.Segment) {
	for i := range segs {
		if segs[i].Damage != nil {
			s.damaged = append(s.damaged, segs[i])
		}
	}
}

// hasDamage reports whether a damaged segment among those that were read is one of a file.
func (s *step) hasDamage(u *handoff.Upload) bool {
	return slices.ContainsFunc(s.damaged, func(seg eventlog.Segment) bool { return u.Overlaps(seg.Number) })
}

// noteSkipped is called before a commit: if the cursor has passed damaged segments, the
// integration's log says so in that commit.
func (s *step) noteSkipped() {
	passed := 0
	for passed < len(s.damaged) && s.damaged[passed].Number <= s.cursor.Offset.Segment {
		passed++
	}
	if passed == 0 {
		return
	}
	skipped := s.damaged[:passed]
	s.damaged = s.damaged[passed:]
	s.cursor.Skipped = true
	total := damageOf(skipped)
	s.notes = append(s.notes, store.AddEntry{History: store.HistoryOf(s.in), Alert: integration.AlertEventsSkipped, Entry: integration.LogEntry{
		Action: integration.ActionEventsSkipped, CreatedAt: s.engine.Now(), Reason: skippedReason(total),
	}})
	s.engine.Logger.Error("events skipped; their stored bytes can never be read",
		"tenant", s.in.Tenant, "integration", s.in.ID, "lane", s.cursor.Key.Lane,
		"first_segment", skipped[0].Number, "last_segment", skipped[passed-1].Number, "segments", passed,
		"events", total.Events, "first_published_at", total.First, "last_published_at", total.Last, "error", total.Err)
	if s.engine.Observer != nil {
		s.engine.Observer.EventsSkipped(total.Events)
	}
}

// damageOf returns the damage of all the segments together, with the error of the first.
func damageOf(segs []eventlog.Segment) eventlog.Damage {
	total := *segs[0].Damage
	for _, seg := range segs[1:] {
		d := seg.Damage
		total.Events += d.Events
		total.First, total.Last = earlier(total.First, d.First), later(total.Last, d.Last)
	}
	return total
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// skippedReason says to the tenant what was skipped. How many of the events the filter
// would have passed, nobody can say any more.
func skippedReason(d eventlog.Damage) string {
	events, when := fmt.Sprintf("%d events that were", d.Events), "at "+event.FormatTime(d.First)
	if d.Events == 1 {
		events = "1 event that was"
	}
	if d.Last.After(d.First) {
		when = "between " + event.FormatTime(d.First) + " and " + event.FormatTime(d.Last)
	}
	return fmt.Sprintf("Skipped %s published %s: the stored copy is damaged and can never be read. To have them delivered, publish them again.", events, when)
}
