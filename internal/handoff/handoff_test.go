package handoff_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
)

var (
	now   = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	later = now.Add(time.Hour)
	part  = event.Partition{Tenant: "acme", Lane: 2}
	other = handoff.Subscriber{ID: "other", Generation: 3, Mode: handoff.Deliver, From: 1, JoinedAt: now}
)

func at(segment uint64, index int, ahead ...int) handoff.AckState {
	return handoff.AckState{Offset: handoff.Offset{Segment: segment, Index: index}, Ahead: ahead}
}

func cursor(of handoff.State, acks handoff.AckState) handoff.Cursor {
	return handoff.Cursor{
		Key:        handoff.Key{Tenant: "acme", Integration: "mine", Lane: 2},
		Generation: 7, State: of, AckState: acks, Version: 40,
	}
}

func state(lowWatermark uint64, live ...handoff.Subscriber) handoff.PartitionState {
	return handoff.PartitionState{Partition: part, LowWatermark: lowWatermark, Live: live, Version: 50}
}

func subscriber(generation, from uint64) handoff.Subscriber {
	return handoff.Subscriber{ID: "mine", Generation: generation, Mode: handoff.Deliver, From: from, JoinedAt: now}
}

// same compares, and treats a nil live set and an empty one as equal.
func same(t *testing.T, what string, want, got any) {
	t.Helper()
	liveSet := cmp.Transformer("live", func(f []handoff.Subscriber) []handoff.Subscriber { return append([]handoff.Subscriber{}, f...) })
	if diff := cmp.Diff(want, got, liveSet); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestJoin(t *testing.T) {
	for _, c := range []struct {
		name   string
		before handoff.PartitionState
		at     handoff.AckState
		joins  bool
	}{
		{"has everything up to the low watermark", state(5, other), at(5, 0), true},
		{"the partition is empty", handoff.PartitionState{Partition: part}, at(0, 0), true},
		{"is ahead of the low watermark", state(5), at(6, 0), true},
		{"misses a segment", state(6), at(5, 0), false},
		{"is within a segment", state(5), at(5, 1), false},
		{"has acknowledged one out of order", state(5), at(5, 0, handoff.Acked), false},
		{"has tried one", state(5), at(5, 0, 2), false},
		{"replaces an older generation", state(5, subscriber(6, 2), other), at(5, 0), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, cur := c.before, cursor(handoff.Scheduled, c.at)
			cur.DueAt, cur.Failures, cur.FailingSince, cur.Cause = now, 3, now, "connection refused"
			cur.Slowness, cur.SlowUntil = 2, later
			wantState, wantCursor := c.before, cur
			if c.joins {
				wantState.Live = nil
				for _, sub := range c.before.Live {
					if sub.ID != "mine" {
						wantState.Live = append(wantState.Live, sub)
					}
				}
				wantState.Live = append(wantState.Live, handoff.Subscriber{
					ID: "mine", Generation: 7, Mode: handoff.Wake, WakeDelay: time.Minute, From: c.at.Offset.Segment, JoinedAt: now,
				})
				wantCursor.State, wantCursor.DueAt = handoff.Live, later
				wantCursor.Failures, wantCursor.FailingSince, wantCursor.Cause = 0, time.Time{}, ""
			}
			if got := handoff.Join(&r, &cur, handoff.Wake, time.Minute, later, now); got != c.joins {
				t.Errorf("Join is %v, want %v", got, c.joins)
			}
			same(t, "state", wantState, r)
			same(t, "cursor", wantCursor, cur)
		})
	}
}

func TestLeave(t *testing.T) {
	for _, c := range []struct {
		name   string
		before handoff.PartitionState
		state  handoff.State
		leaves bool
	}{
		{"is live", state(5, other, subscriber(7, 2)), handoff.Live, true},
		{"is not in the live set", state(5, other), handoff.Live, false},
		{"is live with an earlier generation", state(5, subscriber(6, 2), other), handoff.Live, false},
		{"is live with a later generation", state(5, subscriber(8, 2)), handoff.Live, false},
		{"is scheduled", state(5, subscriber(7, 2)), handoff.Scheduled, false},
		{"is paused", state(5, subscriber(7, 2)), handoff.Paused, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, cur := c.before, cursor(c.state, at(1, 0))
			wantState, wantCursor := c.before, cur
			to := at(5, 3, handoff.Acked, 0, 2)
			if c.leaves {
				wantState.Live = []handoff.Subscriber{other}
				wantCursor.State, wantCursor.AckState, wantCursor.DueAt = handoff.Scheduled, to, later
			}
			if got := handoff.Leave(&r, &cur, to, later); got != c.leaves {
				t.Errorf("Leave is %v, want %v", got, c.leaves)
			}
			same(t, "state", wantState, r)
			same(t, "cursor", wantCursor, cur)
		})
	}
}

func TestPause(t *testing.T) {
	for _, c := range []struct {
		name    string
		before  handoff.PartitionState
		state   handoff.State
		at      handoff.AckState
		changed bool
		want    handoff.AckState
		state2  handoff.State
	}{
		{"is live", state(5, subscriber(7, 2), other), handoff.Live, at(2, 0), true, at(5, 0), handoff.Paused},
		{"is live and ahead", state(5, subscriber(7, 6), other), handoff.Live, at(6, 0), true, at(6, 0), handoff.Paused},
		{"is scheduled", state(5, other), handoff.Scheduled, at(2, 1, handoff.Acked), false, at(2, 1, handoff.Acked), handoff.Paused},
		{"is paused", state(5, other), handoff.Paused, at(2, 1), false, at(2, 1), handoff.Paused},
		{"is finished", state(5, other), handoff.Finished, at(4, 0), false, at(4, 0), handoff.Finished},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, cur := c.before, cursor(c.state, c.at)
			cur.DueAt, cur.Failures, cur.FailingSince, cur.Cause, cur.Slowness, cur.SlowUntil = later, 3, now, "connection refused", 2, later
			wantState, wantCursor := c.before, cursor(c.state2, c.want)
			wantCursor.Generation = 8
			wantState.Live = []handoff.Subscriber{other}
			if got := handoff.Pause(&r, &cur, 8); got != c.changed {
				t.Errorf("Pause is %v, want %v", got, c.changed)
			}
			same(t, "state", wantState, r)
			same(t, "cursor", wantCursor, cur)
		})
	}
}

func TestResume(t *testing.T) {
	for _, c := range []struct {
		state, want handoff.State
		due         time.Time
	}{
		{handoff.Paused, handoff.Scheduled, now},
		{handoff.Finished, handoff.Finished, time.Time{}},
	} {
		cur := cursor(c.state, at(5, 2, handoff.Acked))
		want := cur
		want.Generation, want.State, want.DueAt = 8, c.want, c.due
		handoff.Resume(&cur, 8, now)
		same(t, string(c.state), want, cur)
	}
}

// A step that loses its cursor by a skip may have calls in flight, as live delivery after a
// leave: a replay that completes meanwhile must not count as quiet.
func TestSkip(t *testing.T) {
	for _, of := range []handoff.State{handoff.Scheduled, handoff.Paused} {
		cur := cursor(of, at(5, 2, 3, 0, handoff.Acked))
		cur.Failures, cur.FailingSince, cur.Cause = 3, now, "connection refused"
		want := cur
		want.AckState = at(5, 3, 0, handoff.Acked)
		if of == handoff.Scheduled {
			want.DueAt, want.LeftAt = later, later
		}
		handoff.Skip(&cur, at(5, 3, 0, handoff.Acked), later)
		same(t, string(of), want, cur)
	}
}

// A reader of the old state may still be iterating over its live set.
func TestTransitionsDoNotModifyTheGivenLiveSet(t *testing.T) {
	before := []handoff.Subscriber{subscriber(7, 2), other}
	for name, change := range map[string]func(*handoff.PartitionState, *handoff.Cursor){
		"join": func(r *handoff.PartitionState, c *handoff.Cursor) {
			handoff.Join(r, c, handoff.Deliver, 0, time.Time{}, now)
		},
		"leave": func(r *handoff.PartitionState, c *handoff.Cursor) { handoff.Leave(r, c, at(5, 0), now) },
		"pause": func(r *handoff.PartitionState, c *handoff.Cursor) { handoff.Pause(r, c, 8) },
	} {
		shared := append([]handoff.Subscriber(nil), before...)
		r, c := state(5, shared...), cursor(handoff.Live, at(5, 0))
		change(&r, &c)
		same(t, name, before, shared)
	}
}

func TestAckedBy(t *testing.T) {
	r := state(5, subscriber(7, 2))
	if got := r.AckedBy(r.Find("mine")); got != 5 {
		t.Errorf("below the low watermark: got %d, want 5", got)
	}
	r.LowWatermark = 1
	if got := r.AckedBy(r.Find("mine")); got != 2 {
		t.Errorf("ahead of the low watermark: got %d, want 2", got)
	}
	if r.Find("unknown") != nil {
		t.Error("found an unknown integration")
	}
}
