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

func cursor(state handoff.State, p handoff.AckState) handoff.Cursor {
	return handoff.Cursor{
		Key:        handoff.Key{Tenant: "acme", Integration: "mine", Lane: 2},
		Generation: 7, State: state, AckState: p, Version: 40,
	}
}

func record(delivered uint64, followers ...handoff.Subscriber) handoff.PartitionState {
	return handoff.PartitionState{Partition: part, LowWatermark: delivered, Live: followers, Version: 50}
}

func subscriber(generation, from uint64) handoff.Subscriber {
	return handoff.Subscriber{ID: "mine", Generation: generation, Mode: handoff.Deliver, From: from, JoinedAt: now}
}

// same compares, with no difference between no followers and an empty list.
func same(t *testing.T, what string, want, got any) {
	t.Helper()
	noFollowers := cmp.Transformer("followers", func(f []handoff.Subscriber) []handoff.Subscriber { return append([]handoff.Subscriber{}, f...) })
	if diff := cmp.Diff(want, got, noFollowers); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestJoin(t *testing.T) {
	for _, c := range []struct {
		name   string
		record handoff.PartitionState
		at     handoff.AckState
		joins  bool
	}{
		{"has what is delivered", record(5, other), at(5, 0), true},
		{"nothing was published yet", handoff.PartitionState{Partition: part}, at(0, 0), true},
		{"is ahead of what is delivered", record(5), at(6, 0), true},
		{"misses a segment", record(6), at(5, 0), false},
		{"is within a segment", record(5), at(5, 1), false},
		{"has one ahead", record(5), at(5, 0, handoff.Acked), false},
		{"has tried one", record(5), at(5, 0, 2), false},
		{"replaces its older self", record(5, subscriber(6, 2), other), at(5, 0), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, cur := c.record, cursor(handoff.Scheduled, c.at)
			cur.DueAt, cur.Failures, cur.FailingSince = now, 3, now
			cur.Slowness, cur.SlowUntil = 2, later
			wantRecord, wantCursor := c.record, cur
			if c.joins {
				wantRecord.Live = nil
				for _, f := range c.record.Live {
					if f.ID != "mine" {
						wantRecord.Live = append(wantRecord.Live, f)
					}
				}
				wantRecord.Live = append(wantRecord.Live, handoff.Subscriber{
					ID: "mine", Generation: 7, Mode: handoff.Wake, WakeDelay: time.Minute, From: c.at.Offset.Segment, JoinedAt: now,
				})
				wantCursor.State, wantCursor.DueAt = handoff.Live, later
				wantCursor.Failures, wantCursor.FailingSince = 0, time.Time{}
			}
			if got := handoff.Join(&r, &cur, handoff.Wake, time.Minute, later, now); got != c.joins {
				t.Errorf("Join is %v, want %v", got, c.joins)
			}
			same(t, "record", wantRecord, r)
			same(t, "cursor", wantCursor, cur)
		})
	}
}

func TestLeave(t *testing.T) {
	for _, c := range []struct {
		name   string
		record handoff.PartitionState
		state  handoff.State
		leaves bool
	}{
		{"follows", record(5, other, subscriber(7, 2)), handoff.Live, true},
		{"is not on the roster", record(5, other), handoff.Live, false},
		{"is there of an earlier life", record(5, subscriber(6, 2), other), handoff.Live, false},
		{"is there of a later life", record(5, subscriber(8, 2)), handoff.Live, false},
		{"is driven", record(5, subscriber(7, 2)), handoff.Scheduled, false},
		{"is parked", record(5, subscriber(7, 2)), handoff.Paused, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, cur := c.record, cursor(c.state, at(1, 0))
			wantRecord, wantCursor := c.record, cur
			to := at(5, 3, handoff.Acked, 0, 2)
			if c.leaves {
				wantRecord.Live = []handoff.Subscriber{other}
				wantCursor.State, wantCursor.AckState, wantCursor.DueAt = handoff.Scheduled, to, later
			}
			if got := handoff.Leave(&r, &cur, to, later); got != c.leaves {
				t.Errorf("Leave is %v, want %v", got, c.leaves)
			}
			same(t, "record", wantRecord, r)
			same(t, "cursor", wantCursor, cur)
		})
	}
}

func TestPark(t *testing.T) {
	for _, c := range []struct {
		name    string
		record  handoff.PartitionState
		state   handoff.State
		at      handoff.AckState
		changed bool
		want    handoff.AckState
		state2  handoff.State
	}{
		{"follows", record(5, subscriber(7, 2), other), handoff.Live, at(2, 0), true, at(5, 0), handoff.Paused},
		{"follows and is ahead", record(5, subscriber(7, 6), other), handoff.Live, at(6, 0), true, at(6, 0), handoff.Paused},
		{"is driven", record(5, other), handoff.Scheduled, at(2, 1, handoff.Acked), false, at(2, 1, handoff.Acked), handoff.Paused},
		{"is parked", record(5, other), handoff.Paused, at(2, 1), false, at(2, 1), handoff.Paused},
		{"is finished", record(5, other), handoff.Finished, at(4, 0), false, at(4, 0), handoff.Finished},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, cur := c.record, cursor(c.state, c.at)
			cur.DueAt, cur.Failures, cur.FailingSince, cur.Slowness, cur.SlowUntil = later, 3, now, 2, later
			wantRecord, wantCursor := c.record, cursor(c.state2, c.want)
			wantCursor.Generation = 8
			wantRecord.Live = []handoff.Subscriber{other}
			if got := handoff.Pause(&r, &cur, 8); got != c.changed {
				t.Errorf("Park is %v, want %v", got, c.changed)
			}
			same(t, "record", wantRecord, r)
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

// TestTransitionsKeepTheGivenRoster: a reader of the record before the change
// may still be walking its roster.
func TestTransitionsKeepTheGivenRoster(t *testing.T) {
	before := []handoff.Subscriber{subscriber(7, 2), other}
	for name, change := range map[string]func(*handoff.PartitionState, *handoff.Cursor){
		"join": func(r *handoff.PartitionState, c *handoff.Cursor) {
			handoff.Join(r, c, handoff.Deliver, 0, time.Time{}, now)
		},
		"leave": func(r *handoff.PartitionState, c *handoff.Cursor) { handoff.Leave(r, c, at(5, 0), now) },
		"park":  func(r *handoff.PartitionState, c *handoff.Cursor) { handoff.Pause(r, c, 8) },
	} {
		shared := append([]handoff.Subscriber(nil), before...)
		r, c := record(5, shared...), cursor(handoff.Live, at(5, 0))
		change(&r, &c)
		same(t, name, before, shared)
	}
}

func TestStart(t *testing.T) {
	r := record(5, subscriber(7, 2))
	if got := r.AckedBy(r.Find("mine")); got != 5 {
		t.Errorf("behind what is delivered: got %d, want 5", got)
	}
	r.LowWatermark = 1
	if got := r.AckedBy(r.Find("mine")); got != 2 {
		t.Errorf("ahead of what is delivered: got %d, want 2", got)
	}
	if r.Find("nobody") != nil {
		t.Error("found nobody")
	}
}
