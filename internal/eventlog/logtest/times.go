package logtest

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// times compares the results of Seek and OffsetForTime with the segments.
var times = map[string]test{
	"by time, equal timestamps in a row": func(t *testing.T, h Harness, clock *Clock) {
		appendAt(t, h, []int{10, 10}, []int{10}, []int{10, 20, 20}, []int{20}, []int{20, 20}, []int{30}, []int{50, 60})
		compareTimes(t, h, 0, 70)
	},
	"by time, in no order": func(t *testing.T, h Harness, clock *Clock) {
		appendAt(t, h, []int{30}, []int{10, 50}, []int{20}, []int{60, 5}, []int{40}, []int{41}, []int{39})
		compareTimes(t, h, 0, 70)
	},
	"by time, many segments nearly in order": func(t *testing.T, h Harness, clock *Clock) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 0))
		var all [][]int
		for at := range 60 {
			var segment []int
			for range 1 + r.IntN(4) {
				segment = append(segment, at+r.IntN(6))
			}
			all = append(all, segment)
		}
		appendAt(t, h, all...)
		compareTimes(t, h, -1, 70)
	},
	"by time, late records": func(t *testing.T, h Harness, clock *Clock) {
		for _, round := range [][][]int{{{0}, {100}, {200}, {50}, {300}, {400}, {20}}, {{500, 60}, {600}}} {
			appendAt(t, h, round...)
			all := readAll(t, h, part, 0)
			for _, ms := range []int{10, 20, 50, 60, 150, 210, 400, 500} {
				checkSeek(t, h, all, base.Add(time.Duration(ms)*time.Millisecond))
				checkOffsetForTime(t, h, all, base.Add(time.Duration(ms)*time.Millisecond))
			}
		}
	},
	"by time, of an empty partition": func(t *testing.T, h Harness, clock *Clock) {
		n, err := h.Log.Seek(t.Context(), part, base)
		if err != nil || n != 0 {
			t.Errorf("Seek: got %d, %v, want 0", n, err)
		}
		n, final, err := h.Log.OffsetForTime(t.Context(), part, base)
		if err != nil || n != 0 || !final {
			t.Errorf("OffsetForTime: got %d, final %v, %v; want 0, final", n, final, err)
		}
	},
	"times finer than a millisecond": func(t *testing.T, h Harness, clock *Clock) {
		appendAt(t, h, []int{10}, []int{11}, []int{12})
		compareTimes(t, h, 10, 10) // on the event
		all := readAll(t, h, part, 0)
		for _, d := range []time.Duration{1, 500 * time.Microsecond, 999999} {
			checkSeek(t, h, all, base.Add(10*time.Millisecond+d))
			checkOffsetForTime(t, h, all, base.Add(10*time.Millisecond+d))
		}
	},
	"a clock that is ahead makes nothing final": func(t *testing.T, h Harness, clock *Clock) {
		at := base.Add(time.Second)
		clock.Set(base)
		add(t, h, part, []event.Event{anEvent(part, 0, at.Add(2*h.Margin+time.Hour))})
		if _, final, err := h.Log.OffsetForTime(t.Context(), part, at); err != nil || final {
			t.Errorf("before the time: got final %v, %v; what is published until then is not in the log yet", final, err)
		}
	},
	"final once the time has passed": func(t *testing.T, h Harness, clock *Clock) {
		appendAt(t, h, []int{10})
		for _, c := range []struct {
			now   time.Duration
			final bool
		}{{-time.Hour, false}, {-time.Millisecond, false}, {0, false}, {h.Margin + time.Millisecond, true}, {h.Margin + time.Hour, true}} {
			at := base.Add(time.Second)
			clock.Set(at.Add(c.now))
			_, final, err := h.Log.OffsetForTime(t.Context(), part, at)
			if err != nil || final != c.final {
				t.Errorf("at %v after the time: got final %v, %v, want %v", c.now, final, err, c.final)
			}
		}
	},
}

// appendAt appends a segment for each list of milliseconds after base.
func appendAt(t *testing.T, h Harness, segments ...[]int) {
	t.Helper()
	id := 0
	for _, list := range segments {
		var events []event.Event
		for _, ms := range list {
			events = append(events, anEvent(part, id, base.Add(time.Duration(ms)*time.Millisecond)))
			id++
		}
		add(t, h, part, events)
	}
}

func compareTimes(t *testing.T, h Harness, from, to int) {
	t.Helper()
	all := readAll(t, h, part, 0)
	step := 1
	if h.Margin > 0 {
		step = 3 // it cannot be exact, and each takes many requests
	}
	for ms := from; ms <= to; ms += step {
		checkSeek(t, h, all, base.Add(time.Duration(ms)*time.Millisecond))
		checkOffsetForTime(t, h, all, base.Add(time.Duration(ms)*time.Millisecond))
	}
}

func checkSeek(t *testing.T, h Harness, all []eventlog.Segment, at time.Time) {
	t.Helper()
	exact := uint64(len(all))
	for i := len(all) - 1; i >= 0; i-- {
		if anyEvent(all[i], func(e event.Event) bool { return !e.PublishedAt.Before(at) }) {
			exact = uint64(i)
		}
	}
	got, err := h.Log.Seek(t.Context(), part, at)
	if err != nil || got > exact || h.Margin == 0 && got != exact {
		t.Errorf("Seek %v: got %d, %v, want %d", at.Sub(base), got, err, exact)
	}
}

func checkOffsetForTime(t *testing.T, h Harness, all []eventlog.Segment, at time.Time) {
	t.Helper()
	exact := uint64(0)
	for i, s := range all {
		if anyEvent(s, func(e event.Event) bool { return !e.PublishedAt.After(at) }) {
			exact = uint64(i + 1)
		}
	}
	got, _, err := h.Log.OffsetForTime(t.Context(), part, at)
	if err != nil || got < exact || h.Margin == 0 && got != exact {
		t.Errorf("OffsetForTime %v: got %d, %v, want %d", at.Sub(base), got, err, exact)
	}
}

func anyEvent(s eventlog.Segment, holds func(event.Event) bool) bool {
	for _, e := range s.Events {
		if holds(e) {
			return true
		}
	}
	return false
}
