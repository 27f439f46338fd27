package worker

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
)

// An event of a replay that is skipped by hand counts as skipped, with what the filter
// drops before it.
func TestASkippedEventCounts(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var events []event.Event
	for _, id := range []string{"a", "b", "c"} {
		events = append(events, event.Draft{ID: id, Name: "order." + id, Payload: []byte(`{}`)}.Stamp("acme", at))
	}
	filter := event.Filter{Names: []string{"order.b"}, Until: at}
	before := handoff.AckState{Ahead: []int{0, 2}, Tally: handoff.Tally{Delivered: 7}}
	s := NewSkip(filter, before, "b")
	if ev, attempts := s.Find([]eventlog.Segment{{Number: 1, Events: events}}); ev == nil || attempts != 2 {
		t.Fatalf("found %v, %d", ev, attempts)
	}
	if got, want := s.AckState().Tally, (handoff.Tally{Filtered: 2, Delivered: 7, Skipped: 1}); got != want {
		t.Errorf("the tally is %+v, want %+v", got, want)
	}
}
