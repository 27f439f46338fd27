package worker

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
)

// segments makes segments from 1 on; the filter drops events named "other.x".
func segments(t *rapid.T) []eventlog.Segment {
	segs := make([]eventlog.Segment, rapid.IntRange(1, 6).Draw(t, "segments"))
	for i := range segs {
		segs[i].Number = uint64(i + 1)
		for j := range rapid.IntRange(1, 5).Draw(t, "events") {
			name := rapid.SampledFrom([]string{"order.created", "order.created", "other.x"}).Draw(t, "name")
			segs[i].Events = append(segs[i].Events, event.Event{ID: fmt.Sprintf("%d-%d", i+1, j), Name: name, Body: []byte("{}")})
		}
	}
	return segs
}

var wanted = event.Filter{Names: []string{"order.created"}}

// stored returns an ack state as a store returns it.
func stored(t *rapid.T, p handoff.AckState) handoff.AckState {
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back handoff.AckState
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Ahead) > 0 && back.Ahead[len(back.Ahead)-1] == 0 {
		t.Fatalf("ack state %+v ends with untried events", p)
	}
	return back
}

// Events are taken, acknowledged and failed in any order, and the window is restored
// from its ack state many times: no acknowledged event is sent again, none is left out,
// and attempts keep counting.
func TestWindowLosesAndRepeatsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segs := segments(t)
		acked, attempts := map[string]bool{}, map[string]int{}
		w, added := newWindow(wanted, handoff.AckState{}), 0
		var taken []item
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			switch what := rapid.SampledFrom([]string{"add", "take", "take", "ack", "ack", "fail", "restore"}).Draw(t, "what"); what {
			case "add":
				if added < len(segs) {
					w.add(segs[added])
					added++
				}
			case "take":
				if i, ok := w.take(); ok {
					checkTaken(t, i, acked, attempts)
					taken = append(taken, i)
				}
			case "ack", "fail":
				if len(taken) == 0 {
					continue
				}
				n := rapid.IntRange(0, len(taken)-1).Draw(t, "which")
				i := taken[n]
				taken = append(taken[:n], taken[n+1:]...)
				if what == "fail" {
					w.fail(i, time.Time{})
					attempts[i.event().ID]++
					continue
				}
				acked[i.event().ID] = true
				w.ack(i)
			case "restore":
				p := stored(t, w.ackState())
				w, taken, added = newWindow(wanted, p), nil, int(p.Offset.Segment)
			}
			checkAcked(t, w, segs, acked)
		}
		p := stored(t, w.ackState())
		w = newWindow(wanted, p)
		for _, seg := range segs[p.Offset.Segment:] {
			w.add(seg)
		}
		for i, ok := w.take(); ok; i, ok = w.take() {
			checkTaken(t, i, acked, attempts)
			acked[i.event().ID] = true
			w.ack(i)
		}
		checkAcked(t, w, segs, acked)
		if !w.idle() || w.acked != uint64(len(segs)) {
			t.Fatalf("acknowledged %d of %d, idle %t", w.acked, len(segs), w.idle())
		}
		if got := w.ackState(); got.Offset.Segment != uint64(len(segs)) || got.Offset.Index != 0 || len(got.Ahead) > 0 {
			t.Fatalf("finally at %+v", got)
		}
	})
}

func checkTaken(t *rapid.T, i item, acked map[string]bool, attempts map[string]int) {
	e := i.event()
	switch {
	case acked[e.ID]:
		t.Fatalf("%s is sent again", e.ID)
	case e.Name == "other.x":
		t.Fatalf("%s is sent although the filter drops it", e.ID)
	case i.attempt != attempts[e.ID]+1:
		t.Fatalf("%s is sent as attempt %d after %d", e.ID, i.attempt, attempts[e.ID])
	}
}

func checkAcked(t *rapid.T, w *window, segs []eventlog.Segment, acked map[string]bool) {
	for _, seg := range segs[:w.acked] {
		for _, e := range seg.Events {
			if e.Name != "other.x" && !acked[e.ID] {
				t.Fatalf("segment %d counts as acknowledged without %s", w.acked, e.ID)
			}
		}
	}
}

// If segments are missing (trimmed, or delivered by another live loop), no event after
// the gap is left out, whenever the ack state is saved.
func TestWindowGap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segs := segments(t)
		gone := map[uint64]bool{}
		for _, seg := range segs {
			gone[seg.Number] = rapid.IntRange(0, 2).Draw(t, "gone") == 0
		}
		w := newWindow(wanted, handoff.AckState{})
		acked := map[string]bool{}
		for _, seg := range segs {
			if gone[seg.Number] {
				continue
			}
			w.add(seg)
			for range rapid.IntRange(0, 4).Draw(t, "takes") {
				if i, ok := w.take(); ok && rapid.Bool().Draw(t, "acks") {
					acked[i.event().ID] = true
					w.ack(i)
				}
			}
		}
		// The next window gets all segments: those that another loop delivered are
		// still in the log.
		p := stored(t, w.ackState())
		w = newWindow(wanted, p)
		for _, seg := range segs[p.Offset.Segment:] {
			w.add(seg)
		}
		for i, ok := w.take(); ok; i, ok = w.take() {
			acked[i.event().ID] = true
			w.ack(i)
		}
		for _, seg := range segs {
			for _, e := range seg.Events {
				if e.Name != "other.x" && !acked[e.ID] && !gone[seg.Number] {
					t.Fatalf("%s is lost", e.ID)
				}
			}
		}
	})
}

func TestWindowAckState(t *testing.T) {
	seg := func(n uint64, events int) eventlog.Segment {
		s := eventlog.Segment{Number: n}
		for i := range events {
			s.Events = append(s.Events, event.Event{ID: fmt.Sprint(n, i), Name: "order.created", PublishedAt: time.Unix(0, 0)})
		}
		return s
	}
	w := newWindow(event.Filter{}, handoff.AckState{Offset: handoff.Offset{Segment: 4}})
	w.add(seg(4, 1)) // has it already
	w.add(seg(5, 3))
	w.add(seg(6, 2))
	w.add(seg(5, 3)) // has it already
	var items []item
	for i, ok := w.take(); ok; i, ok = w.take() {
		items = append(items, i)
	}
	if len(items) != 5 {
		t.Fatalf("took %d events, want 5", len(items))
	}
	w.ack(items[0])
	w.fail(items[1], time.Time{})
	w.ack(items[2])
	w.ack(items[3])
	want := handoff.AckState{Offset: handoff.Offset{Segment: 4, Index: 1}, Ahead: []int{1, handoff.Acked, handoff.Acked}}
	if diff := cmp.Diff(want, w.ackState()); diff != "" {
		t.Error(diff)
	}
	again := newWindow(event.Filter{}, want)
	if diff := cmp.Diff(want, again.ackState()); diff != "" {
		t.Errorf("before anything is read: %s", diff)
	}
	again.add(seg(5, 3))
	if diff := cmp.Diff(want, again.ackState()); diff != "" {
		t.Errorf("with a part of it read: %s", diff)
	}
}

// States count from the offset. After a gap, or a skip, they must not be applied to
// other events, which would be left out.
func TestStatesEndAtAGap(t *testing.T) {
	seg := func(n uint64) eventlog.Segment {
		s := eventlog.Segment{Number: n}
		for i := range 3 {
			s.Events = append(s.Events, event.Event{ID: fmt.Sprint(n, ".", i), Name: "order.created"})
		}
		return s
	}
	known := handoff.AckState{Offset: handoff.Offset{Segment: 4, Index: 2}, Ahead: []int{3, handoff.Acked, 0, handoff.Acked}}
	for name, c := range map[string]struct {
		pass func(*window)
		want []string // the ids to send, each with its attempt
	}{
		"no gap":                      {func(w *window) { w.add(seg(5)); w.add(seg(6)) }, []string{"5.2 4", "6.1 1"}},
		"a gap":                       {func(w *window) { w.add(seg(6)); w.add(seg(7)) }, []string{"6.0 1", "6.1 1", "6.2 1", "7.0 1", "7.1 1", "7.2 1"}},
		"a gap after a segment":       {func(w *window) { w.add(seg(5)); w.add(seg(7)); w.add(seg(8)) }, []string{"5.2 4", "7.0 1", "7.1 1", "7.2 1", "8.0 1", "8.1 1", "8.2 1"}},
		"a skip":                      {func(w *window) { w.skip(5); w.add(seg(6)) }, []string{"6.0 1", "6.1 1", "6.2 1"}},
		"a skip to its offset":        {func(w *window) { w.skip(4); w.add(seg(5)) }, []string{"5.0 1", "5.1 1", "5.2 1"}},
		"a skip to before its offset": {func(w *window) { w.skip(2); w.add(seg(5)) }, []string{"5.0 1", "5.1 1", "5.2 1"}},
	} {
		w := newWindow(event.Filter{}, known)
		c.pass(w)
		var got []string
		for i, ok := w.take(); ok; i, ok = w.take() {
			got = append(got, fmt.Sprint(i.event().ID, " ", i.attempt))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// The buffer is measured in bytes, and acknowledged segments make room.
func TestWindowBytes(t *testing.T) {
	w := newWindow(event.Filter{}, handoff.AckState{})
	var items []item
	for n := range uint64(3) {
		body := make([]byte, 10*(n+1))
		w.add(eventlog.Segment{Number: n + 1, Events: []event.Event{{ID: "a", Body: body}, {ID: "b", Body: body}}})
	}
	for i, ok := w.take(); ok; i, ok = w.take() {
		items = append(items, i)
	}
	type state struct {
		Finished, Idle bool
		Bytes          int
		Acked          uint64
	}
	var got []state
	for _, i := range []int{2, 3, 0, 1, 5, 4} { // the second segment, the first, the third
		finished := w.ack(items[i])
		got = append(got, state{finished, w.idle(), w.bytes(), w.ackState().Offset.Segment})
	}
	want := []state{
		{false, false, 120, 0},
		{false, false, 120, 0}, // the second must wait for the first
		{false, false, 120, 0},
		{true, false, 60, 2},
		{false, false, 60, 2},
		{true, true, 0, 3},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// After acknowledged segments are dropped, the next event is still the same.
func TestTakeAfterDrop(t *testing.T) {
	w := newWindow(event.Filter{}, handoff.AckState{})
	for n := range uint64(3) {
		id := fmt.Sprint(n + 1)
		w.add(eventlog.Segment{Number: n + 1, Events: []event.Event{{ID: id + "a"}, {ID: id + "b"}}})
	}
	first, _ := w.take()
	second, _ := w.take()
	w.take() // 2a, which is acknowledged after the first segment
	w.ack(first)
	w.ack(second)
	if i, ok := w.take(); !ok || i.event().ID != "2b" {
		t.Errorf("next is %+v, %v, want 2b", i, ok)
	}
}

// The states of events count from the offset. If their segment cannot be read any more,
// they are not taken for those of the events after it; and if it is read after all later,
// as from a restored file, the states behind it are not taken for its own.
func TestWindowForgetsStatesAtADamagedSegment(t *testing.T) {
	seg := func(number uint64) eventlog.Segment {
		s := eventlog.Segment{Number: number}
		for i := range 3 {
			s.Events = append(s.Events, event.Event{ID: fmt.Sprintf("%d-%d", number, i), Name: "order.created"})
		}
		return s
	}
	damaged := eventlog.Segment{Number: 2, Damage: &eventlog.Damage{Events: 3}}
	toSend := func(w *window) (n int) {
		for {
			if _, ok := w.take(); !ok {
				return n
			}
			n++
		}
	}

	w := newWindow(wanted, handoff.AckState{Offset: handoff.Offset{Segment: 1, Index: 1}, Ahead: []int{0, handoff.Acked}})
	w.add(damaged)
	w.add(seg(3))
	if n := toSend(w); n != 3 || w.ackState().Offset.Segment != 2 {
		t.Errorf("%d of 3 events after it are sent, from %+v", n, w.ackState())
	}

	w = newWindow(wanted, handoff.AckState{})
	w.add(seg(1))
	w.add(damaged)
	w.add(seg(3))
	for range 3 {
		w.take()
	}
	last, _ := w.take()
	w.ack(last) // the first of segment 3
	again := newWindow(wanted, w.ackState())
	for n := range uint64(3) {
		again.add(seg(n + 1))
	}
	if n := toSend(again); n != 9 {
		t.Errorf("%d of 9 events are sent once segment 2 can be read", n)
	}
}
