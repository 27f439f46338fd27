package integration

import (
	"testing"
	"time"
)

// What the log says of a move, and of a stop that was too long, can be read back; nothing
// else is taken for it.
func TestReasonsAreReadBack(t *testing.T) {
	early := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	late, end := early.Add(90*time.Minute+time.Millisecond), time.Time{}
	for _, c := range [][2]time.Time{{early, late}, {late, early}, {early, end}, {end, early}, {end, end}} {
		from, to, ok := MovedBetween(ReasonMoved(c[0], c[1]))
		if !ok || !from.Equal(c[0]) || !to.Equal(c[1]) {
			t.Errorf("moved from %v to %v, and read back %v to %v, %v", c[0], c[1], from, to, ok)
		}
	}
	stopped, started, ok := StoppedBetween(ReasonStoppedTooLong(early, late, time.Hour))
	if !ok || !stopped.Equal(early) || !started.Equal(late) {
		t.Errorf("stopped from %v to %v, and read back %v to %v, %v", early, late, stopped, started, ok)
	}
	for _, other := range []string{
		"", "Started via API.", "Position moved via API from here to there.", "Position moved via API from the end of the log",
		"Stopped from the end of the log to x, longer", ReasonMoved(early, late) + "x", "x" + ReasonMoved(early, late),
		"Skipped 3 events that were published at 2026-03-01T12:00:00.000Z: the stored copy is damaged and can never be read. To have them delivered, publish them again.",
	} {
		_, _, moved := MovedBetween(other)
		_, _, skipped := StoppedBetween(other)
		if moved || skipped {
			t.Errorf("%q is taken for a move: %v, for a stop: %v", other, moved, skipped)
		}
	}
}
