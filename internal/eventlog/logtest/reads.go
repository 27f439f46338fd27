package logtest

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

var reads = map[string]test{
	"nothing after the end": func(t *testing.T, h Harness, _ *Clock) {
		equal(t, "an empty partition", len(readAfter(t, h, part, 0, 1<<20)), 0)
		add(t, h, part, events(0, 1))
		for _, after := range []uint64{1, 2, 1 << 30} {
			equal(t, "after the end", len(readAfter(t, h, part, after, 1<<20)), 0)
		}
	},
	"from every offset": func(t *testing.T, h Harness, _ *Clock) {
		for i := range 10 {
			add(t, h, part, events(i, 1))
		}
		for after := range uint64(10) {
			got := readAfter(t, h, part, after, 1<<20)
			if len(got) != int(10-after) || got[0].Number != after+1 || got[0].Events[0].ID != idOf(int(after)) {
				t.Errorf("after %d: got the segments %v", after, numbers(got))
			}
		}
	},
	"up to about maxBytes, but at least one": func(t *testing.T, h Harness, _ *Clock) {
		for i := range 40 {
			add(t, h, part, events(10*i, 10))
		}
		one := readAfter(t, h, part, 0, 1)
		equal(t, "with 1 byte", numbers(one), []uint64{1})
		equal(t, "with 0 bytes", numbers(readAfter(t, h, part, 0, 0)), []uint64{1})
		got := readAfter(t, h, part, 5, 8*one[0].Bytes())
		if len(got) < 4 || len(got) > 12 {
			t.Errorf("with room for about 8 segments: got %v", numbers(got))
		}
		for i, s := range got {
			if s.Number != uint64(6+i) {
				t.Fatalf("after 5: got %v", numbers(got))
			}
		}
		equal(t, "all, a few at a time", len(readAll(t, h, part, 0)), 40)
	},
	"a read starts with the first retained segment": func(t *testing.T, h Harness, clock *Clock) {
		for i := range 10 {
			add(t, h, part, []event.Event{anEvent(part, i, base.Add(time.Duration(i)*time.Minute))})
		}
		h.trim(t, base.Add(4*time.Minute))
		endIs(t, h, part, 10)
		for after, first := range map[uint64]uint64{0: 5, 1: 5, 3: 5, 4: 5, 5: 6, 9: 10} {
			if got := readAfter(t, h, part, after, 1<<20); len(got) == 0 || got[0].Number != first {
				t.Errorf("after %d: got %v, want from %d on", after, numbers(got), first)
			}
		}
		times := map[time.Duration]uint64{0: 4, 4 * time.Minute: 4, 5 * time.Minute: 5, time.Hour: 10}
		for since, want := range times {
			if got, err := h.Log.Seek(t.Context(), part, base.Add(since)); err != nil || got < 4 || h.Margin == 0 && got != want {
				t.Errorf("Seek %v: got %d, %v, want %d", since, got, err, want)
			}
		}
	},
	"numbers continue after everything was trimmed": func(t *testing.T, h Harness, clock *Clock) {
		other := event.Partition{Tenant: part.Tenant, Lane: 1}
		for i := range 3 {
			add(t, h, part, events(i, 1))
		}
		add(t, h, other, []event.Event{anEvent(other, 0, base.Add(time.Hour))})
		for range 2 { // again with nothing left
			h.trim(t, base.Add(time.Minute))
			endIs(t, h, part, 3)
			equal(t, "what is left", numbers(readAfter(t, h, part, 0, 1<<20)), []uint64(nil))
			got, err := h.Log.Seek(t.Context(), part, base)
			if err != nil || got != 3 {
				t.Errorf("Seek: got %d, %v, want 3", got, err)
			}
			got, _, err = h.Log.OffsetForTime(t.Context(), part, base.Add(time.Minute))
			if err != nil || got != 3 {
				t.Errorf("OffsetForTime: got %d, %v, want 3", got, err)
			}
		}
		if n := add(t, h, part, events(3, 1)); n != 4 {
			t.Errorf("the next segment has the number %d, want 4", n)
		}
		want := []eventlog.Segment{{Number: 4, Events: events(3, 1)}}
		equal(t, "what is left", readAfter(t, h, part, 0, 1<<20), want)
		endIs(t, h, other, 1)
		equal(t, "the other lane", numbers(readAfter(t, h, other, 0, 1<<20)), []uint64{1})
	},
	"a segment that can never be read is damaged, and the others are as they were": func(t *testing.T, h Harness, _ *Clock) {
		for i := range 5 {
			add(t, h, part, events(10*i, 2))
		}
		damaged := map[uint64]bool{2: true, 5: true}
		for n := range damaged {
			h.Damage(t, part, n)
		}
		endIs(t, h, part, 5)
		for _, maxBytes := range []int{0, 1 << 20} {
			next := uint64(1)
			for next <= 5 {
				for _, s := range readAfter(t, h, part, next-1, maxBytes) {
					if s.Number != next {
						t.Fatalf("got segment %d, want %d", s.Number, next)
					}
					first := int(next-1) * 10
					if want := events(first, 2); damaged[next] {
						isDamaged(t, s, want)
					} else {
						equal(t, "segment", s, eventlog.Segment{Number: next, Events: want})
					}
					next++
				}
			}
		}
		if got, err := h.Log.Seek(t.Context(), part, base.Add(12*time.Millisecond)); err != nil || got > 2 || h.Margin == 0 && got != 2 {
			t.Errorf("Seek beyond a damaged one: got %d, %v", got, err)
		}
		add(t, h, part, events(50, 1))
		equal(t, "appended after it", numbers(readAfter(t, h, part, 5, 1<<20)), []uint64{6})
	},
	"a segment with one event within the retention is kept whole": func(t *testing.T, h Harness, clock *Clock) {
		want := []event.Event{anEvent(part, 0, base.Add(-time.Hour)), anEvent(part, 1, base)}
		add(t, h, part, want)
		add(t, h, part, []event.Event{anEvent(part, 2, base)})
		h.trim(t, base)
		got := readAfter(t, h, part, 0, 1<<20)
		equal(t, "segments", numbers(got), []uint64{1, 2})
		equal(t, "events", got[0].Events, want)
	},
}

// isDamaged checks a segment whose events can never be read.
func isDamaged(t *testing.T, s eventlog.Segment, events []event.Event) {
	t.Helper()
	if len(s.Events) > 0 || s.Damage == nil || s.Damage.Err == nil {
		t.Fatalf("segment %d has %d events and the damage %+v", s.Number, len(s.Events), s.Damage)
	}
	d := *s.Damage
	d.Err = nil
	equal(t, "damage", d, eventlog.Damage{Events: len(events), First: events[0].PublishedAt, Last: events[len(events)-1].PublishedAt})
}
