package logtest

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

var rests = map[string]test{
	"nothing is left in an empty partition, nor after the end": func(t *testing.T, h Harness, _ *Clock) {
		equal(t, "of an empty partition", restAfter(t, h, 0), eventlog.Rest{})
		last := add3(t, h)
		for _, after := range []uint64{3, 4, 1 << 30} {
			equal(t, "after the end", restAfter(t, h, after), eventlog.Rest{Last: last})
		}
	},
	"what is left after each segment is counted": func(t *testing.T, h Harness, _ *Clock) {
		last := add3(t, h)
		var bytes int64
		for after, want := range map[uint64]eventlog.Rest{
			0: {Next: 1, Events: 6, First: base, Last: last},
			1: {Next: 2, Events: 5, First: base.Add(-time.Second), Last: last}, // not its first event
			2: {Next: 3, Events: 3, First: base.Add(20 * time.Millisecond), Last: last},
		} {
			got := restAfter(t, h, after)
			bytes, got.Bytes = got.Bytes, 0
			equal(t, "what is left", got, want)
			bodies := 0
			for _, s := range readAfter(t, h, part, after, 1<<20) {
				bodies += s.Bytes()
			}
			if bytes < int64(bodies) || bytes > int64(2*bodies) {
				t.Errorf("after %d: %d bytes are left, in bodies of %d", after, bytes, bodies)
			}
		}
	},
	"what is left begins with the first retained segment": func(t *testing.T, h Harness, _ *Clock) {
		for i := range 10 {
			add(t, h, part, []event.Event{anEvent(part, i, base.Add(time.Duration(i)*time.Minute))})
		}
		h.trim(t, base.Add(4*time.Minute))
		for after, next := range map[uint64]uint64{0: 5, 3: 5, 4: 5, 5: 6, 9: 10} {
			got := restAfter(t, h, after)
			got.Bytes = 0
			equal(t, "what is left", got, eventlog.Rest{
				Next: next, Events: int(11 - next), First: base.Add(time.Duration(next-1) * time.Minute), Last: base.Add(9 * time.Minute),
			})
		}
		h.trim(t, base.Add(time.Hour))
		if got := restAfter(t, h, 0); got.Next != 0 || got.Events != 0 || got.Bytes != 0 || !got.First.IsZero() {
			t.Errorf("after all was trimmed, %+v is left", got)
		}
		add(t, h, part, []event.Event{anEvent(part, 10, base.Add(2*time.Hour))})
		if got := restAfter(t, h, 0); got.Next != 11 || got.Events != 1 {
			t.Errorf("%+v is left, want the event after those that were trimmed", got)
		}
	},
}

// add3 appends segments of 1, 2 and 3 events, and returns the latest published_at.
func add3(t *testing.T, h Harness) time.Time {
	t.Helper()
	add(t, h, part, events(0, 1))
	add(t, h, part, []event.Event{anEvent(part, 10, base.Add(10*time.Millisecond)), anEvent(part, 11, base.Add(-time.Second))})
	add(t, h, part, events(20, 3))
	return base.Add(22 * time.Millisecond)
}

func restAfter(t *testing.T, h Harness, number uint64) eventlog.Rest {
	t.Helper()
	rest, err := h.Log.After(t.Context(), part, number)
	if err != nil {
		t.Fatalf("After %d: %v", number, err)
	}
	return rest
}
