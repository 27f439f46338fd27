package delivery

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

// segments makes segments from 1 on; every event named "other.x" is not wanted.
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

// stored is what comes back from a store.
func stored(t *rapid.T, p handoff.Progress) handoff.Progress {
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back handoff.Progress
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Ahead) > 0 && back.Ahead[len(back.Ahead)-1] == 0 {
		t.Fatalf("progress %+v has marks that say nothing", p)
	}
	return back
}

// Events are taken, settled and failed in any order, and again and again the
// tracker is lost and only its progress is kept: nothing that got through is
// sent again, nothing is left out, and attempts are counted on.
func TestTrackerLosesAndRepeatsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segs := segments(t)
		settled, attempts := map[string]bool{}, map[string]int{}
		tr, added := newTracker(wanted, handoff.Progress{}), 0
		var taken []item
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			switch what := rapid.SampledFrom([]string{"add", "take", "take", "settle", "settle", "fail", "restore"}).Draw(t, "what"); what {
			case "add":
				if added < len(segs) {
					tr.add(segs[added])
					added++
				}
			case "take":
				if i, ok := tr.take(); ok {
					checkTaken(t, i, settled, attempts)
					taken = append(taken, i)
				}
			case "settle", "fail":
				if len(taken) == 0 {
					continue
				}
				n := rapid.IntRange(0, len(taken)-1).Draw(t, "which")
				i := taken[n]
				taken = append(taken[:n], taken[n+1:]...)
				if what == "fail" {
					tr.fail(i)
					attempts[i.event().ID]++
					continue
				}
				settled[i.event().ID] = true
				tr.settle(i)
			case "restore":
				p := stored(t, tr.progress())
				tr, taken, added = newTracker(wanted, p), nil, int(p.Position.Segment)
			}
			checkThrough(t, tr, segs, settled)
		}
		p := stored(t, tr.progress())
		tr = newTracker(wanted, p)
		for _, seg := range segs[p.Position.Segment:] {
			tr.add(seg)
		}
		for i, ok := tr.take(); ok; i, ok = tr.take() {
			checkTaken(t, i, settled, attempts)
			settled[i.event().ID] = true
			tr.settle(i)
		}
		checkThrough(t, tr, segs, settled)
		if !tr.idle() || tr.through != uint64(len(segs)) {
			t.Fatalf("through %d of %d, idle %t", tr.through, len(segs), tr.idle())
		}
		if got := tr.progress(); got.Position.Segment != uint64(len(segs)) || got.Position.Index != 0 || len(got.Ahead) > 0 {
			t.Fatalf("at the end it stands at %+v", got)
		}
	})
}

func checkTaken(t *rapid.T, i item, settled map[string]bool, attempts map[string]int) {
	e := i.event()
	switch {
	case settled[e.ID]:
		t.Fatalf("%s is sent again", e.ID)
	case e.Name == "other.x":
		t.Fatalf("%s is sent although it is not wanted", e.ID)
	case i.attempt() != attempts[e.ID]+1:
		t.Fatalf("%s is sent as attempt %d after %d", e.ID, i.attempt(), attempts[e.ID])
	}
}

func checkThrough(t *rapid.T, tr *tracker, segs []eventlog.Segment, settled map[string]bool) {
	for _, seg := range segs[:tr.through] {
		for _, e := range seg.Events {
			if e.Name != "other.x" && !settled[e.ID] {
				t.Fatalf("segment %d counts as through without %s", tr.through, e.ID)
			}
		}
	}
}

// Where segments are missing (trimmed, or delivered by another follow loop), no
// event after the gap is left out, however the progress is kept.
func TestTrackerGap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segs := segments(t)
		gone := map[uint64]bool{}
		for _, seg := range segs {
			gone[seg.Number] = rapid.IntRange(0, 2).Draw(t, "gone") == 0
		}
		tr := newTracker(wanted, handoff.Progress{})
		settled := map[string]bool{}
		for _, seg := range segs {
			if gone[seg.Number] {
				continue
			}
			tr.add(seg)
			for range rapid.IntRange(0, 4).Draw(t, "takes") {
				if i, ok := tr.take(); ok && rapid.Bool().Draw(t, "settles") {
					settled[i.event().ID] = true
					tr.settle(i)
				}
			}
		}
		// All segments are there for the next one: what another loop delivered is
		// still in the log.
		p := stored(t, tr.progress())
		tr = newTracker(wanted, p)
		for _, seg := range segs[p.Position.Segment:] {
			tr.add(seg)
		}
		for i, ok := tr.take(); ok; i, ok = tr.take() {
			settled[i.event().ID] = true
			tr.settle(i)
		}
		for _, seg := range segs {
			for _, e := range seg.Events {
				if e.Name != "other.x" && !settled[e.ID] && !gone[seg.Number] {
					t.Fatalf("%s is lost", e.ID)
				}
			}
		}
	})
}

func TestTrackerProgress(t *testing.T) {
	seg := func(n uint64, events int) eventlog.Segment {
		s := eventlog.Segment{Number: n}
		for i := range events {
			s.Events = append(s.Events, event.Event{ID: fmt.Sprint(n, i), Name: "order.created", PublishedAt: time.Unix(0, 0)})
		}
		return s
	}
	tr := newTracker(event.Filter{}, handoff.Progress{Position: handoff.Position{Segment: 4}})
	tr.add(seg(4, 1)) // has it already
	tr.add(seg(5, 3))
	tr.add(seg(6, 2))
	tr.add(seg(5, 3)) // has it already
	var items []item
	for i, ok := tr.take(); ok; i, ok = tr.take() {
		items = append(items, i)
	}
	if len(items) != 5 {
		t.Fatalf("took %d events, want 5", len(items))
	}
	tr.settle(items[0])
	tr.fail(items[1])
	tr.settle(items[2])
	tr.settle(items[3])
	want := handoff.Progress{Position: handoff.Position{Segment: 4, Index: 1}, Ahead: []int{1, handoff.Through, handoff.Through}}
	if diff := cmp.Diff(want, tr.progress()); diff != "" {
		t.Error(diff)
	}
	again := newTracker(event.Filter{}, want)
	if diff := cmp.Diff(want, again.progress()); diff != "" {
		t.Errorf("before anything is read: %s", diff)
	}
	again.add(seg(5, 3))
	if diff := cmp.Diff(want, again.progress()); diff != "" {
		t.Errorf("with a part of it read: %s", diff)
	}
}
