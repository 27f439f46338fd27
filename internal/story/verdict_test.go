package story

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
)

// failing is a cursor that backs off.
func failing(state handoff.AckState) handoff.Cursor {
	return handoff.Cursor{
		State: handoff.Scheduled, AckState: state, DueAt: minute(61), Failures: 3, FailingSince: minute(30),
		Cause: "service unavailable (HTTP status code 503)", Status: 503,
	}
}

func TestVerdictsOfALiveIntegration(t *testing.T) {
	r := newRig(t)
	r.stands(hook(), handoff.Cursor{State: handoff.Live, AckState: at(9, 0)}, 2)
	for m := range 3 {
		r.publish(m+1, 2)
	}
	r.wants(2, 1, Delivered, "The receiver took it")
	r.wants(3, 0, Pending, "is being sent")
}

func TestVerdictsWhileItFails(t *testing.T) {
	r := newRig(t)
	for m := range 5 {
		r.publish(m+1, 3)
	}
	// Of the second segment the first event is acknowledged, and of the third the last.
	r.stands(hook(), failing(at(1, 1, 3, 0, handoff.Acked, 1, handoff.Acked)), 0)
	r.wants(1, 2, Delivered)
	r.wants(2, 0, Delivered)
	r.wants(2, 1, Retrying, "3 attempts failed", "service unavailable (HTTP status code 503)", "at "+event.FormatTime(minute(61)))
	r.wants(2, 2, Pending, "before it", event.FormatTime(minute(30)))
	r.wants(3, 0, Delivered)
	r.wants(3, 1, Retrying, "1 attempt failed")
	r.wants(3, 2, Delivered)
	r.wants(4, 0, Pending)
	r.wants(5, 2, Pending)
}

// What an ack state knows is of the segments right after its offset: if they are not there,
// it says nothing of others.
func TestStatesAreNotOfOtherSegments(t *testing.T) {
	for name, gone := range map[string]func(r *rig){
		"trimmed": func(r *rig) { r.log.Trim(minute(3)) },
		"damaged": func(r *rig) { r.log.Damage(event.Partition{Tenant: "acme"}, 2) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			for m := range 4 {
				r.publish(m+1, 2)
			}
			r.stands(hook(), failing(at(1, 0, 1, handoff.Acked, handoff.Acked, handoff.Acked)), 0)
			gone(r)
			r.wants(3, 0, Pending)
			r.wants(3, 1, Pending)
		})
	}
}

func TestVerdictsOfACatchUp(t *testing.T) {
	r := newRig(t)
	r.publish(1, 2)
	r.publish(2, 2)
	r.stands(hook(), handoff.Cursor{State: handoff.Scheduled, AckState: at(1, 0), DueAt: minute(60)}, 0)
	r.wants(2, 0, Pending, "from an earlier place on")
	r.wants(1, 1, Delivered)
	r.all = nil
	in := hook()
	in.ID = "again"
	r.stands(in, handoff.Cursor{State: handoff.Scheduled, AckState: at(0, 1, 2), DueAt: minute(60)}, 0)
	r.wants(1, 1, Retrying, "2 attempts failed, and it is being sent again")
}

func TestVerdictsOfAStoppedIntegration(t *testing.T) {
	for name, c := range map[string]struct {
		edit  func(in *integration.Integration)
		want  Verdict
		words []string
	}{
		"by the API":  {func(*integration.Integration) {}, Stopped, []string{"was stopped via API at " + event.FormatTime(minute(10)), "after 2 failed attempts", "a start until "}},
		"for failing": {func(in *integration.Integration) { in.StoppedBy = integration.StoppedAfterFailing }, Stopped, []string{"its receiver failed for too long"}},
		"that waited": {func(in *integration.Integration) { in.StoppedAt = minute(1).Add(10 * 24 * time.Hour) }, Stopped, []string{"a start until 2026-04-03T13:01:00.000Z sends"}},
		"too long":    {func(in *integration.Integration) { in.StoppedAt = minute(60).Add(-30*24*time.Hour - time.Millisecond) }, Expired, []string{"30 days"}},
		"just so":     {func(in *integration.Integration) { in.StoppedAt = minute(60).Add(-30 * 24 * time.Hour) }, Stopped, nil},
		"a replay": {func(in *integration.Integration) {
			in.Type, in.StartsAt, in.EndsAt = integration.Temporary, base, minute(90)
			in.StoppedAt = minute(60).Add(-31 * 24 * time.Hour)
		}, Stopped, []string{"a start sends the event."}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.publish(1, 2)
			in := hook()
			in.CreatedAt = base.Add(-60 * 24 * time.Hour)
			in.Running, in.StoppedAt, in.StoppedBy = false, minute(10), integration.StoppedByAPI
			c.edit(in)
			r.stands(in, handoff.Cursor{State: handoff.Paused, AckState: at(0, 1, 2)}, 0)
			r.wants(1, 1, c.want, c.words...)
			r.wants(1, 0, Delivered)
		})
	}
}

func TestVerdictsOfFilters(t *testing.T) {
	r := newRig(t)
	r.publish(1, 2)
	r.publish(2, 2)
	in := hook()
	in.Filter = event.Filter{Names: []string{"order.paid"}, Entities: []string{"return"}}
	r.stands(in, handoff.Cursor{State: handoff.Live}, 1)
	r.wants(1, 0, Filtered, "filter_conditions do not pass order.created")
	r.wants(2, 0, Filtered)
	in.Filter.Entities = []string{"order"}
	r.wants(1, 0, Delivered)

	// The filter of before a change is not known any more.
	r.said(in, 20, integration.ActionUpdated, "Updated via API. Changed: filter_conditions.event_filter.")
	r.said(in, 21, integration.ActionUpdated, "Updated via API. Changed: callback_parameters.callback_url.")
	r.wants(1, 0, Delivered, "if the filter_conditions passed it then", event.FormatTime(minute(20)))
	in.Filter.Entities = nil
	r.wants(1, 0, Filtered, "changed at "+event.FormatTime(minute(20)))
	r.wants(2, 0, Filtered, "do not pass")
}

func TestVerdictsOfTimes(t *testing.T) {
	hours := func(n int) time.Time { return base.Add(time.Duration(n) * time.Hour) }
	for name, c := range map[string]struct {
		edit   func(in *integration.Integration)
		minute int
		past   bool
		want   Verdict
	}{
		"before its registration":           {func(in *integration.Integration) { in.CreatedAt = minute(2) }, 1, true, BeforeStart},
		"before it, and yet to come":        {func(in *integration.Integration) { in.CreatedAt = minute(2) }, 1, false, Pending},
		"at its registration":               {func(in *integration.Integration) { in.CreatedAt = minute(1) }, 1, true, Delivered},
		"before starts_at, past":            {func(in *integration.Integration) { in.StartsAt = minute(2) }, 1, true, BeforeStart},
		"before starts_at":                  {func(in *integration.Integration) { in.StartsAt = minute(2) }, 1, false, BeforeStart},
		"at starts_at, before registration": {func(in *integration.Integration) { in.StartsAt, in.CreatedAt = minute(1), minute(9) }, 1, true, Delivered},
		"after ends_at":                     {func(in *integration.Integration) { in.StartsAt, in.EndsAt = base, minute(1).Add(-1) }, 1, false, AfterEnd},
		"after ends_at, past":               {func(in *integration.Integration) { in.StartsAt, in.EndsAt = base, minute(1).Add(-1) }, 1, true, AfterEnd},
		"at ends_at":                        {func(in *integration.Integration) { in.StartsAt, in.EndsAt = base, minute(1) }, 1, true, Delivered},
		"beyond the retention at its birth": {func(in *integration.Integration) { in.StartsAt, in.CreatedAt = hours(-1), hours(30*24+1) }, 1, true, Expired},
		"within the retention at its birth": {func(in *integration.Integration) { in.StartsAt, in.CreatedAt = hours(-1), hours(30*24) }, 1, true, Delivered},
		"in the log after it was complete": {func(in *integration.Integration) {
			in.StartsAt, in.EndsAt, in.CompletedAt = base, minute(9), minute(10)
		}, 1, false, AfterEnd},
		"after a start moved it farther back": {func(in *integration.Integration) { in.StartsAt, in.MovedTo = minute(5), base }, 1, false, Pending},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.publish(c.minute, 1)
			in, offset := hook(), uint64(0)
			if c.past {
				offset = 1
			}
			c.edit(in)
			if !in.EndsAt.IsZero() {
				in.Type = integration.Temporary
			}
			r.now = minute(60 * 24 * 31)
			r.stands(in, handoff.Cursor{State: handoff.Scheduled, AckState: at(offset, 0), DueAt: r.now}, 0)
			r.wants(c.minute, 0, c.want)
		})
	}
}

// A lane of a replay that is complete has no more to send.
func TestVerdictOfAFinishedLane(t *testing.T) {
	r := newRig(t)
	r.publish(1, 1)
	r.publish(2, 1)
	in := hook()
	in.Type, in.StartsAt, in.EndsAt = integration.Temporary, base, minute(30)
	r.stands(in, handoff.Cursor{State: handoff.Finished, AckState: at(1, 0)}, 0)
	r.wants(1, 0, Delivered)
	r.wants(2, 0, AfterEnd, "complete before the event was in the log")
}

func TestVerdictsOfFiles(t *testing.T) {
	bucket := hook()
	bucket.Webhook, bucket.S3 = nil, &integration.S3{Bucket: "b"}
	r := newRig(t)
	for _, m := range []int{10, 30, 31} {
		r.publish(m, 1)
	}
	r.stands(bucket, handoff.Cursor{State: handoff.Scheduled, AckState: at(1, 0), DueAt: minute(62)}, 0)
	r.wants(10, 0, Delivered, "in a file in the bucket")
	r.wants(30, 0, Pending, "the next file, which is begun at "+event.FormatTime(minute(62)))
	for name, c := range map[string]struct {
		cursor handoff.Cursor
		want   map[int]Verdict
		words  []string
	}{
		"woken by the next event": {handoff.Cursor{State: handoff.Live}, map[int]Verdict{30: Pending, 31: Pending}, []string{"every 5 minutes"}},
		"being written":           {handoff.Cursor{State: handoff.Scheduled, AckState: at(1, 0), DueAt: minute(59)}, map[int]Verdict{30: Pending}, []string{"next file"}},
		"failing":                 {failing(at(1, 0)), map[int]Verdict{30: Retrying, 31: Pending}, []string{"service unavailable", event.FormatTime(minute(61))}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			for _, m := range []int{10, 30, 31} {
				r.publish(m, 1)
			}
			r.stands(bucket, c.cursor, 1)
			for m, want := range c.want {
				r.wants(m, 0, want, c.words...)
			}
		})
	}
}

// An integration that was stopped while lanes were added has no cursor in them yet.
func TestVerdictInALaneToCome(t *testing.T) {
	r := newRig(t)
	r.lanes = 4
	id, lane := inLane(4)
	r.put(lane, named(id, minute(1)))
	in := hook()
	r.stands(in, handoff.Cursor{State: handoff.Scheduled, AckState: at(0, 0)}, 0)
	want := func(v Verdict) {
		t.Helper()
		if c := r.tell(id, about(1)).Integrations[0]; c.Verdict != v {
			t.Errorf("%s, want %s: %s", c.Verdict, v, c.Because)
		}
	}
	want(Pending)
	in.Running, in.StoppedAt = false, minute(5)
	want(Stopped)
	in.CreatedAt = minute(2)
	want(BeforeStart)
	in.CreatedAt, in.MovedTo = base, minute(20)
	r.said(in, 21, integration.ActionPositionMoved, integration.ReasonMoved(minute(9), minute(20)))
	want(BeforeStart)
}

// inLane returns the id of an event that is not in the first of so many lanes, and its lane.
func inLane(lanes int) (id string, lane int) {
	for i := 0; lane == 0; i++ {
		id = idOf(1, i)
		lane = event.LaneOf(id, lanes)
	}
	return id, lane
}
