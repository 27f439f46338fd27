package story

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// history is what the integration's log says of an event that the integration is past.
type history struct {
	*facts
	listed     *integration.Rejected // a later event with the same id; nil if none is in the list
	left       *integration.LogEntry // the newest that says that the event left the list, undelivered; nil if none does
	moved      bool                  // the position was moved since the event was published
	resent     bool                  // to a place before the event, so it was sent after that
	refiltered time.Time             // when the filter was last changed since; zero if it was not
}

// read reads the entries, newest first: the newest that says what became of the event counts.
func (h *history) read(entries []store.PlacedEntry) (Verdict, string) {
	for i := range entries {
		e := &entries[i].LogEntry
		if h.resent || e.CreatedAt.Before(h.place.event.PublishedAt.Add(-h.service.Margin)) {
			break // it is about an earlier time
		}
		if v, because, ok := h.said(e); ok {
			return v, because
		}
	}
	return h.unsaid()
}

// said tells what an entry says of the event; false if it does not say what became of it.
func (h *history) said(e *integration.LogEntry) (Verdict, string, bool) {
	switch e.Action {
	case integration.ActionRejectedRetried:
		return Delivered, fmt.Sprintf("It was rejected or skipped at first, and delivered when it was retried via API, at %s.", event.FormatTime(e.CreatedAt)), h.names(e)
	case integration.ActionEventSkipped:
		return Skipped, fmt.Sprintf("It was skipped via API at %s; it is no longer in the list of rejected events.", event.FormatTime(e.CreatedAt)), h.names(e)
	case integration.ActionEventRejected:
		return Rejected, fmt.Sprintf("The receiver rejected it at %s; it is no longer in the list of rejected events.", event.FormatTime(e.CreatedAt)), h.names(e)
	case integration.ActionRejectedDeleted, integration.ActionRejectedEvicted:
		if h.left == nil && h.names(e) {
			h.left = e // an older entry may say how it came there
		}
	case integration.ActionUpdated:
		if h.refiltered.IsZero() && strings.Contains(e.Reason, "filter_conditions") {
			h.refiltered = e.CreatedAt
		}
	case integration.ActionPositionMoved:
		return h.passedOver(e)
	case integration.ActionEventsSkipped:
		return h.leftOut(e)
	}
	return "", "", false
}

// names reports whether an entry is about this event: it has the id, and is not of a later
// event with the same id, which is in the list.
func (h *history) names(e *integration.LogEntry) bool {
	later := h.listed != nil && !e.CreatedAt.Before(h.listed.Event.PublishedAt)
	return !later && strings.Contains(e.Reason, h.place.event.ID)
}

// passedOver tells of an event that a start moved the position past.
func (h *history) passedOver(e *integration.LogEntry) (Verdict, string, bool) {
	from, to, ok := integration.MovedBetween(e.Reason)
	published := h.place.event.PublishedAt
	if !ok || published.After(e.CreatedAt) {
		return "", "", false
	}
	h.moved, h.resent = true, !to.IsZero() && !published.Before(to)
	over := !h.resent && h.delivery == nil && !from.IsZero() && !published.Before(from) && h.passes()
	return BeforeStart, fmt.Sprintf("A start at %s moved the position past the event.", event.FormatTime(e.CreatedAt)), over
}

// leftOut tells of an event that was published while the integration was stopped, for longer
// than the retention.
func (h *history) leftOut(e *integration.LogEntry) (Verdict, string, bool) {
	stopped, started, ok := integration.StoppedBetween(e.Reason)
	published := h.place.event.PublishedAt
	out := ok && h.delivery == nil && !published.Before(stopped) && !published.After(started) && h.passes()
	return Expired, fmt.Sprintf("The integration was stopped from %s to %s, for longer than the retention, and what was published in that time was left out.",
		event.FormatTime(stopped), event.FormatTime(started)), out
}

// unsaid tells of an event of which the entries do not say what became of it.
func (h *history) unsaid() (Verdict, string) {
	if d := h.delivery; d != nil && d.Outcome == deliveries.Rejected {
		return Rejected, recorded(d)
	} else if d != nil && d.Outcome == deliveries.Skipped {
		return Skipped, recorded(d)
	}
	if e := h.left; e != nil && h.delivery == nil {
		how := "was deleted from it via API"
		if e.Action == integration.ActionRejectedEvicted {
			how = "gave its place to newer ones"
		}
		return Rejected, fmt.Sprintf("It was in the list of rejected events, and %s at %s.", how, event.FormatTime(e.CreatedAt))
	}
	published, moved := h.place.event.PublishedAt, h.in.MovedTo
	if v, because, ok := h.filtered(); ok {
		if !h.refiltered.IsZero() {
			because += fmt.Sprintf(" They were changed at %s; before, it may have been delivered.", event.FormatTime(h.refiltered))
		}
		return v, because
	}
	if h.resent {
		return h.delivered()
	}
	if published.Before(moved) && !h.moved {
		return BeforeStart, fmt.Sprintf("A start moved the position to %s, and the event was before. It may have been delivered before that.", event.FormatTime(moved))
	}
	if v, because, ok := h.outside(); ok {
		return v, because
	}
	if retention := h.service.Settings.Retention; published.Before(h.in.CreatedAt.Add(-retention)) {
		return Expired, fmt.Sprintf("The integration was registered at %s, when the event was older than the retention of %s.", event.FormatTime(h.in.CreatedAt), integration.Span(retention))
	}
	return h.delivered()
}

func (h *history) delivered() (Verdict, string) {
	because := "The receiver took it."
	if h.in.S3 != nil {
		because = "It is in a file in the bucket."
	}
	if !h.refiltered.IsZero() {
		because += fmt.Sprintf(" That is if the filter_conditions passed it then; they were changed at %s.", event.FormatTime(h.refiltered))
	}
	return Delivered, because
}
