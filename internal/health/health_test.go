package health

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	logmemory "github.com/sluicehq/sluice/internal/eventlog/memory"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/memory"
)

var base = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// rig is a service over a store and a log in memory. Its clock is at base plus an hour.
type rig struct {
	t *testing.T
	*Service
	store *memory.Store
	log   *logmemory.Log
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, store: memory.New()}
	now := func() time.Time { return base.Add(time.Hour) }
	r.log = logmemory.New(now)
	r.Service = &Service{Partitions: r.store, Log: r.log, Settings: settings.Default(), Now: now, Cursor: r.store.Cursor}
	return r
}

func minute(n int) time.Time { return base.Add(time.Duration(n) * time.Minute) }

func idOf(minute, i int) string { return fmt.Sprintf("6f1c4f0e-0000-4000-8000-%06d%06d", minute, i) }

// publish appends a segment of n events of a minute to a lane.
func (r *rig) publish(lane, at, n int) {
	r.t.Helper()
	var events []event.Event
	for i := range n {
		name := []string{"order.created", "order.paid"}[i%2]
		events = append(events, event.Draft{ID: idOf(at, i), Name: name, Payload: []byte("{}")}.Stamp("acme", minute(at)))
	}
	if _, err := r.log.Append(r.t.Context(), event.Partition{Tenant: "acme", Lane: lane}, "", eventlog.Unnamed(events...)); err != nil {
		r.t.Fatal(err)
	}
}

// hook is a webhook that has run since base.
func hook(lanes int) *integration.Integration {
	return &integration.Integration{
		Tenant: "acme", ID: "hook", Type: integration.Permanent, Webhook: &integration.Webhook{URL: "https://a.example.com"},
		Running: true, Generation: 1, Incarnation: 1, Lanes: lanes, CreatedAt: base,
	}
}

// put stores the cursor of a lane, and the lane's live set if it is live.
func (r *rig) put(c handoff.Cursor, lane int, lowWatermark uint64) {
	r.t.Helper()
	c.Key = handoff.Key{Tenant: "acme", Integration: "hook", Lane: lane}
	writes := []store.Write{store.PutCursor{Cursor: &c}}
	if c.State == handoff.Live {
		writes = append(writes, store.PutPartition{State: &handoff.PartitionState{
			Partition: c.Key.Partition(), LowWatermark: lowWatermark, Live: []handoff.Subscriber{{ID: "hook", Generation: 1, Mode: handoff.Deliver}},
		}})
	}
	if err := r.store.Commit(r.t.Context(), writes...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) wants(in *integration.Integration, want Health) {
	r.t.Helper()
	got, err := r.Of(r.t.Context(), in)
	if err != nil || len(got) != 1 || got[0] == nil {
		r.t.Fatalf("got %v, %v", got, err)
	}
	got[0].Behind.Bytes = min(got[0].Behind.Bytes, 1) // whether there are any
	if diff := cmp.Diff(want, *got[0]); diff != "" {
		r.t.Errorf("health (-want +got):\n%s", diff)
	}
}

func at(segment uint64, index int, ahead ...int) handoff.AckState {
	return handoff.AckState{Offset: handoff.Offset{Segment: segment, Index: index}, Ahead: ahead}
}

func TestHealthOfALiveIntegration(t *testing.T) {
	r := newRig(t)
	in := hook(1)
	r.put(handoff.Cursor{Generation: 1, State: handoff.Live, AckState: at(0, 0)}, 0, 2)
	r.wants(in, Health{State: Healthy})
	r.publish(0, 1, 2)
	r.publish(0, 2, 3)
	r.wants(in, Health{State: Healthy, DeliveredThrough: minute(2)})
	r.publish(0, 3, 4)
	r.wants(in, Health{State: Healthy, DeliveredThrough: minute(3).Add(-time.Millisecond), Behind: Behind{4, 1, minute(3)}})
}

func TestHealthWhileItFails(t *testing.T) {
	r := newRig(t)
	r.publish(0, 1, 2)
	r.publish(0, 2, 5)
	r.publish(0, 3, 5)
	in := hook(1)
	c := handoff.Cursor{
		Generation: 1, State: handoff.Scheduled, AckState: at(1, 1, 3, handoff.Acked, 0, handoff.Acked, 0, handoff.Acked), DueAt: minute(61),
		Failures: 3, FailingSince: minute(30), Cause: "service unavailable (HTTP status code 503)", Status: 503,
	}
	r.put(c, 0, 0)
	want := Health{
		State: Failing, DeliveredThrough: minute(2).Add(-time.Millisecond), Behind: Behind{6, 1, minute(2)},
		Failing: &Outage{
			Since: minute(30), Attempts: 3, NextAttemptAt: minute(61), EventID: idOf(2, 1), EventName: "order.paid",
			Status: 503, Cause: "service unavailable (HTTP status code 503)", StopsAt: minute(30).Add(72 * time.Hour),
		},
	}
	r.wants(in, want)

	in.Filter = event.Filter{Names: []string{"order.created"}} // events that it drops do not wait
	want.Failing.EventID, want.Failing.EventName = idOf(2, 2), "order.created"
	in2 := *in
	r2 := newRig(t)
	r2.publish(0, 1, 2)
	r2.publish(0, 2, 5)
	r2.publish(0, 3, 5)
	c.AckState = at(1, 1, 0, 3)
	r2.put(c, 0, 0)
	want.Behind.Events = 9
	r2.wants(&in2, want)

	in.Running, in.StoppedAt, in.StoppedBy = false, minute(40), integration.StoppedAfterFailing
	r.wants(in, Health{
		State: Stopped, Reason: integration.StoppedAfterFailing, DeliveredThrough: want.DeliveredThrough,
		Behind: Behind{6, 1, minute(2)}, RestartBy: minute(40).Add(30 * 24 * time.Hour),
	})
}

// A file has no event that waits alone, and its interval is no delay.
func TestHealthOfAnS3Integration(t *testing.T) {
	for name, c := range map[string]struct {
		published int // minutes
		cursor    handoff.Cursor
		want      State
	}{
		"at the end":                  {57, handoff.Cursor{AckState: at(1, 0), DueAt: minute(59)}, Healthy},
		"waits for its next file":     {57, handoff.Cursor{DueAt: minute(62)}, Healthy},
		"a file is due":               {57, handoff.Cursor{DueAt: minute(60)}, Healthy},
		"waits, with what it read":    {20, handoff.Cursor{DueAt: minute(63)}, Healthy},
		"catches up":                  {20, handoff.Cursor{DueAt: minute(60)}, CatchingUp},
		"its bucket refuses the file": {57, handoff.Cursor{DueAt: minute(62), Failures: 1, FailingSince: minute(59)}, Failing},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.publish(0, c.published, 2)
			in := hook(1)
			in.Webhook, in.S3 = nil, &integration.S3{Bucket: "b"}
			c.cursor.Generation, c.cursor.State = 1, handoff.Scheduled
			r.put(c.cursor, 0, 0)
			got, err := r.Of(t.Context(), in)
			if err != nil || got[0].State != c.want {
				t.Fatalf("got %+v, %v, want %s", got[0], err, c.want)
			}
			if o := got[0].Failing; o != nil && o.EventID != "" {
				t.Errorf("event %s waits", o.EventID)
			}
		})
	}
}

func TestHealthOfSeveralLanes(t *testing.T) {
	r := newRig(t)
	in := hook(3)
	r.publish(0, 10, 2)
	r.publish(1, 5, 2)
	r.publish(1, 20, 3)
	r.put(handoff.Cursor{Generation: 1, State: handoff.Live}, 0, 1)
	r.put(handoff.Cursor{Generation: 1, State: handoff.Scheduled, AckState: at(1, 0)}, 1, 0)
	r.put(handoff.Cursor{Generation: 1, State: handoff.Live}, 2, 0)
	r.wants(in, Health{State: CatchingUp, DeliveredThrough: minute(20).Add(-time.Millisecond), Behind: Behind{3, 1, minute(20)}})
	r.publish(2, 30, 1)
	r.wants(in, Health{State: CatchingUp, DeliveredThrough: minute(20).Add(-time.Millisecond), Behind: Behind{4, 1, minute(20)}})
}

func TestHealthOfAReplay(t *testing.T) {
	r := newRig(t)
	in := hook(2)
	in.Type, in.StartsAt, in.EndsAt = integration.Temporary, minute(0), minute(40)
	for m := range 50 {
		r.publish(0, m, 1)
	}
	r.put(handoff.Cursor{Generation: 1, State: handoff.Scheduled, AckState: at(10, 0)}, 0, 0)
	r.put(handoff.Cursor{Generation: 1, State: handoff.Finished}, 1, 0)
	r.wants(in, Health{
		State: CatchingUp, DeliveredThrough: minute(10).Add(-time.Millisecond), Behind: Behind{40, 1, minute(10)},
		Progress: &Progress{Fraction: .25},
	})
	in.Running, in.StoppedAt, in.CompletedAt = false, minute(59), minute(59)
	r2 := newRig(t)
	for m := range 50 {
		r2.publish(0, m, 1)
	}
	r2.put(handoff.Cursor{Generation: 1, State: handoff.Finished, AckState: at(41, 0)}, 0, 0)
	r2.put(handoff.Cursor{Generation: 1, State: handoff.Finished}, 1, 0)
	r2.wants(in, Health{State: Complete, DeliveredThrough: minute(40), Progress: &Progress{Fraction: 1}})
}

// What was delivered is known of a lane that is live, of one that catches up, and of one
// that is through.
func TestHealthTellsWhatWasDelivered(t *testing.T) {
	r := newRig(t)
	in := hook(3)
	in.Type, in.StartsAt, in.EndsAt = integration.Temporary, minute(0), minute(120)
	r.put(handoff.Cursor{Generation: 1, State: handoff.Live, AckState: handoff.AckState{Tally: handoff.Tally{Delivered: 100}}}, 0, 0)
	state, err := r.store.Partition(t.Context(), event.Partition{Tenant: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	state.Live[0].Tally = handoff.Tally{Filtered: 1, Delivered: 2, Rejected: 3, Skipped: 4, DeliveredAt: minute(8)}
	if err := r.store.Commit(t.Context(), store.PutPartition{State: state}); err != nil {
		t.Fatal(err)
	}
	r.put(handoff.Cursor{Generation: 1, State: handoff.Scheduled, AckState: handoff.AckState{Tally: handoff.Tally{Delivered: 10, DeliveredAt: minute(9)}}}, 1, 0)
	r.put(handoff.Cursor{Generation: 1, State: handoff.Finished, AckState: handoff.AckState{Tally: handoff.Tally{Rejected: 20, DeliveredAt: minute(7)}}}, 2, 0)
	r.wants(in, Health{
		State: Healthy, DeliveredThrough: minute(120), LastDeliveredAt: minute(9),
		Progress: &Progress{Fraction: .5, Tally: handoff.Tally{Filtered: 1, Delivered: 12, Rejected: 23, Skipped: 4, DeliveredAt: minute(9)}},
	})
}

// What was trimmed is not behind, and the states of events that are gone say nothing of
// others.
func TestBehindWhatIsLeft(t *testing.T) {
	r := newRig(t)
	r.publish(0, 1, 5)
	r.publish(0, 2, 3)
	r.put(handoff.Cursor{Generation: 1, State: handoff.Paused, AckState: at(0, 2, handoff.Acked)}, 0, 0)
	in := hook(1)
	in.Running, in.StoppedAt, in.StoppedBy = false, minute(5), integration.StoppedByAPI
	want := Health{
		State: Stopped, Reason: integration.StoppedByAPI, RestartBy: minute(5).Add(30 * 24 * time.Hour),
		DeliveredThrough: minute(1).Add(-time.Millisecond), Behind: Behind{5, 1, minute(1)},
	}
	r.wants(in, want)
	in.OldestWaiting = minute(1)             // and when it was stopped
	r.Settings.FailureStopAfter = -time.Hour // nothing is kept for longer than the retention
	want.RestartBy = minute(1).Add(30 * 24 * time.Hour)
	r.wants(in, want)
	r.log.Trim(minute(2)) // what is lost by then does not make the time later
	want.DeliveredThrough, want.Behind = minute(2).Add(-time.Millisecond), Behind{3, 1, minute(2)}
	r.wants(in, want)
}

// A cursor that was live when it was read may have left before the live set was read: its
// offset of then is as old as its join.
func TestBehindWhileItLeaves(t *testing.T) {
	r := newRig(t)
	for m := range 9 {
		r.publish(0, m, 1)
	}
	r.put(handoff.Cursor{Generation: 1, State: handoff.Scheduled, AckState: at(7, 0)}, 0, 0)
	stored := r.Cursor
	reads := 0
	r.Cursor = func(ctx context.Context, k handoff.Key) (*handoff.Cursor, error) {
		c, err := stored(ctx, k)
		if reads++; reads == 1 {
			c.State, c.AckState = handoff.Live, at(1, 0)
		}
		return c, err
	}
	r.wants(hook(1), Health{State: CatchingUp, DeliveredThrough: minute(7).Add(-time.Millisecond), Behind: Behind{2, 1, minute(7)}})
}

func TestNoHealthOfADeletedIntegration(t *testing.T) {
	r := newRig(t)
	r.put(handoff.Cursor{Generation: 1, State: handoff.Paused}, 0, 0)
	gone := hook(1)
	gone.ID = "gone"
	got, err := r.Of(t.Context(), gone, hook(1), hook(2)) // the last lacks a lane
	if err != nil || got[0] != nil || got[1] == nil || got[2] != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

// A bucket that a probe could not write to is failing, until something gets through.
func TestHealthAfterAProbeThatFailed(t *testing.T) {
	r := newRig(t)
	in := hook(1)
	in.Webhook, in.S3 = nil, &integration.S3{Bucket: "files"}
	in.Unreachable = &integration.Unreachable{At: minute(2), Cause: "NoSuchBucket", Status: 404}
	r.publish(0, 1, 2)
	r.put(handoff.Cursor{State: handoff.Scheduled, DueAt: minute(62), AckState: handoff.AckState{Offset: handoff.Offset{Segment: 1}}}, 0, 0)
	r.wants(in, Health{State: Failing, DeliveredThrough: minute(1), Failing: &Outage{
		Since: minute(2), Attempts: 1, NextAttemptAt: minute(62), Status: 404, Cause: "NoSuchBucket",
	}})
	stopped := *in
	stopped.Running, stopped.StoppedAt = false, minute(3)
	r.wants(&stopped, Health{State: Stopped, DeliveredThrough: minute(1), RestartBy: minute(3).Add(r.Settings.Retention)})
	r.publish(0, 5, 1)
	c, err := r.store.Cursor(t.Context(), handoff.Key{Tenant: "acme", Integration: "hook"})
	if err != nil {
		t.Fatal(err)
	}
	c.Offset.Segment = 2
	if err := r.store.Commit(t.Context(), store.PutCursor{Cursor: c}); err != nil {
		t.Fatal(err)
	}
	r.wants(in, Health{State: Healthy, DeliveredThrough: minute(5)})
}
