package integration

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/event"
)

// The log says in words which events an integration was moved past. What writes such a
// reason and what reads it back are here, side by side, as the log is all that is kept of it.

const (
	movedFrom   = "Position moved via API from "
	movedTo     = " to "
	endOfLog    = "the end of the log"
	stoppedFrom = "Stopped from "
)

// ReasonMoved says from where to where a position was moved. The zero time is the end of the
// log.
func ReasonMoved(from, to time.Time) string {
	return movedFrom + placeName(from) + movedTo + placeName(to) + "."
}

// MovedBetween reads a reason of ReasonMoved; false for any other.
func MovedBetween(reason string) (from, to time.Time, ok bool) {
	rest, ok := strings.CutPrefix(reason, movedFrom)
	before, after, cut := strings.Cut(rest, movedTo)
	from, fromOK := placeNamed(before)
	to, toOK := placeNamed(strings.TrimSuffix(after, "."))
	return from, to, ok && cut && fromOK && toOK
}

// ReasonStoppedTooLong says which events a start leaves out after a stop that was longer than
// the retention.
func ReasonStoppedTooLong(stopped, started time.Time, retention time.Duration) string {
	return fmt.Sprintf(stoppedFrom+"%s"+movedTo+"%s, longer than the retention of %s. Events published in that time, or not delivered before it, are skipped.",
		event.FormatTime(stopped), event.FormatTime(started), Span(retention))
}

// StoppedBetween reads a reason of ReasonStoppedTooLong; false for any other.
func StoppedBetween(reason string) (stopped, started time.Time, ok bool) {
	rest, ok := strings.CutPrefix(reason, stoppedFrom)
	before, after, cut := strings.Cut(rest, movedTo)
	after, _, ended := strings.Cut(after, ",")
	stopped, stoppedErr := event.ParseTime(before)
	started, startedErr := event.ParseTime(after)
	return stopped, started, ok && cut && ended && stoppedErr == nil && startedErr == nil
}

// placeName says where a position is; the zero time is the end of the log.
func placeName(at time.Time) string {
	if at.IsZero() {
		return endOfLog
	}
	return event.FormatTime(at)
}

func placeNamed(name string) (time.Time, bool) {
	if name == endOfLog {
		return time.Time{}, true
	}
	at, err := event.ParseTime(name)
	return at, err == nil
}
