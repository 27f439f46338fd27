package story

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/problem"
)

func TestWindows(t *testing.T) {
	r := newRig(t)
	id := idOf(1, 0)
	r.publish(1, 1)
	day := func(n int) time.Time { return minute(1).Add(time.Duration(n) * 24 * time.Hour) }
	r.fails(id, Query{}, problem.WindowRequired, "published_at", "from and to", id)
	r.fails(id, Query{From: base}, problem.WindowRequired, "from is given without to")
	r.fails(id, Query{To: base}, problem.WindowRequired, "to is given without from")
	r.fails(id, Query{From: base, To: base.Add(-1)}, problem.InvalidRequest, "before from")
	r.fails(id, Query{From: base, To: base.Add(24*time.Hour + time.Millisecond)}, problem.InvalidRequest, "24 hours")
	r.fails(id, Query{PublishedAt: base, To: base}, problem.InvalidRequest, "published_at")
	for _, q := range []Query{
		{PublishedAt: minute(1)},
		{PublishedAt: minute(61)},
		{PublishedAt: minute(-59)},
		{From: minute(1), To: minute(1)},
		{From: day(-1), To: minute(1)},
		{From: minute(1), To: day(1)},
	} {
		r.tell(id, q)
		r.tell(strings.ToUpper(id), q)
	}
	ms := time.Millisecond
	for _, q := range []Query{
		{PublishedAt: minute(61).Add(ms)},
		{PublishedAt: minute(-59).Add(-ms)},
		{From: minute(1).Add(ms), To: day(1)},
		{From: day(-1), To: minute(1).Add(-ms)},
		{PublishedAt: day(4000)},
	} {
		r.fails(id, q, problem.NotFound, id, "published_at, or with from and to")
	}
	for _, id := range []string{"x", "", strings.Repeat("a", 4000), "6f1c4f0e-0000-4000-8000-00000100000g"} {
		r.fails(id, Query{}, problem.NotFound, "UUID")
	}
}

// The id of a UUIDv7 is enough, also where the publish took a while, or two clocks differ.
func TestIDsTellTheTime(t *testing.T) {
	r := newRig(t)
	id := v7(minute(0))
	for i, apart := range []time.Duration{0, time.Minute, -time.Minute, time.Hour, -time.Hour} {
		id := id[:35] + fmt.Sprint(i)
		r.put(0, named(id, minute(0).Add(apart)))
		r.tell(id, Query{})
	}
	r.put(0, named(id[:35]+"8", minute(61)))
	r.fails(id[:35]+"8", Query{}, problem.NotFound, event.FormatTime(minute(-60)), event.FormatTime(minute(60)))
	r.tell(id[:35]+"8", about(61))
	for _, other := range []string{strings.Replace(id, "-7", "-4", 1), strings.Replace(id, "-8", "-c", 1)} {
		r.fails(other, Query{}, problem.WindowRequired)
	}
}

// Nobody finds the event of another tenant.
func TestEventsOfOthersAreNotFound(t *testing.T) {
	r := newRig(t)
	r.publish(1, 1)
	if _, err := r.Tell(t.Context(), "evil", idOf(1, 0), about(1)); problem.CodeOf(err) != problem.NotFound {
		t.Error(err)
	}
}

// An event is looked for first in the lane that it has by its tenant's number: a search ends
// when it has read its share.
func TestTheLanesOfTheTenantAreLookedAtFirst(t *testing.T) {
	for lanes := 1; lanes <= 32; lanes++ {
		r := newRig(t)
		id, looked := idOf(lanes, 0), &firstLook{Log: r.log}
		r.lanes, r.Log = lanes, looked
		r.put(event.LaneOf(id, lanes), named(id, minute(1)))
		r.tell(id, about(1))
		if looked.at == nil || looked.at.Lane != event.LaneOf(id, lanes) {
			t.Errorf("with %d lanes it looked at %+v first, want lane %d", lanes, looked.at, event.LaneOf(id, lanes))
		}
	}
}

// firstLook is a log that notes which partition was looked at first.
type firstLook struct {
	eventlog.Log
	at *event.Partition
}

func (l *firstLook) End(ctx context.Context, p event.Partition) (uint64, error) {
	if l.at == nil {
		l.at = &p
	}
	return l.Log.End(ctx, p)
}

// An event is found in the lane that it has by the setting of now, or had by an earlier one.
func TestEventsAreFoundInEveryLane(t *testing.T) {
	r := newRig(t)
	r.lanes = 4
	for lanes := 1; lanes <= 32; lanes++ {
		id := idOf(lanes, 0)
		r.put(event.LaneOf(id, lanes), named(id, minute(lanes)))
	}
	for lanes := 1; lanes <= 32; lanes++ {
		r.tell(idOf(lanes, 0), about(lanes))
	}
}

func TestDamageIsSaidWhereNothingIsFound(t *testing.T) {
	r := newRig(t)
	for m := range 3 {
		r.publish(m+1, 2)
	}
	r.log.Damage(event.Partition{Tenant: "acme"}, 2)
	r.fails(idOf(2, 0), about(2), problem.NotFound, "one of 2 events", "damaged")
	r.tell(idOf(3, 1), about(3))
	r.fails(idOf(9, 0), Query{From: minute(3), To: minute(9)}, problem.NotFound)
	if _, err := r.Tell(t.Context(), "acme", idOf(9, 0), Query{From: minute(3), To: minute(9)}); strings.Contains(problem.MessageOf(err), "damaged") {
		t.Errorf("of a time without damage: %v", err)
	}
}

// A call whose deadline is near ends with what it knows.
func TestSearchEndsBeforeTheDeadline(t *testing.T) {
	r := newRig(t)
	r.publish(1, 1)
	ctx, cancel := context.WithTimeout(t.Context(), deadlineReserve-time.Second)
	defer cancel()
	if _, err := r.Tell(ctx, "acme", idOf(1, 0), about(1)); problem.CodeOf(err) != problem.Unavailable {
		t.Error(err)
	}
}

// Whatever the order of the log within its margin, and however often an id was published, the
// story is of the event that is meant.
func TestSearchFindsTheEventThatIsMeant(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		margin := rapid.SampledFrom([]time.Duration{0, 5 * time.Minute}).Draw(rt, "margin")
		id := v7(minute(60))
		if rapid.Bool().Draw(rt, "other id") {
			id = idOf(999, 9)
		}
		var times []time.Time
		latest := time.Time{}
		for i := range rapid.IntRange(0, 40).Draw(rt, "segments") {
			var events []event.Event
			for j := range rapid.IntRange(1, 3).Draw(rt, "events") {
				at := minute(4 * i).Add(-time.Duration(rapid.Int64Range(0, int64(margin)).Draw(rt, "late"))).Truncate(time.Millisecond)
				e := named(idOf(i, j), at)
				if rapid.IntRange(0, 9).Draw(rt, "is it") == 0 {
					e = named(id, at)
					times = append(times, at)
				}
				events = append(events, e)
				if at.After(latest) {
					latest = at
				}
			}
			r.put(0, events...)
		}
		r.Service.Log, r.Margin = &bounded{Log: r.log, margin: margin}, margin
		q := Query{PublishedAt: minute(rapid.IntRange(-70, 240).Draw(rt, "at"))}
		if len(times) > 0 && rapid.Bool().Draw(rt, "exactly") {
			q.PublishedAt = rapid.SampledFrom(times).Draw(rt, "time")
		}
		want := meant(times, q.PublishedAt)
		told, err := r.Tell(context.Background(), "acme", id, q)
		switch {
		case want.IsZero() && problem.CodeOf(err) != problem.NotFound:
			rt.Fatalf("found %+v, %v of %v", told, err, times)
		case !want.IsZero() && (err != nil || !told.Event.PublishedAt.Equal(want)):
			rt.Fatalf("asked for %v: %+v, %v, want %v of %v", q.PublishedAt, told, err, want, times)
		}
	})
}

// meant returns the first time at or after the one that is asked for, or else the last one
// before it, of those within an hour of it; zero if there is none.
func meant(times []time.Time, asked time.Time) (want time.Time) {
	slices.SortFunc(times, time.Time.Compare)
	for _, at := range times {
		switch apart := at.Sub(asked); {
		case apart >= 0 && apart <= time.Hour:
			return at
		case apart < 0 && apart >= -time.Hour:
			want = at
		}
	}
	return want
}

// Where the log is out of order, the nearest of several events may come after one that is
// farther.
func TestTheNearestEventMayComeLate(t *testing.T) {
	r := newRig(t)
	b := &bounded{Log: r.log, margin: 5 * time.Minute}
	r.Service.Log, r.Margin = b, b.margin
	id := idOf(999, 0)
	r.put(0, named(id, minute(8)))
	r.put(0, named(id, minute(7)))
	r.put(0, named(idOf(12, 0), minute(12)))
	if told := r.tell(id, about(1)); !told.Event.PublishedAt.Equal(minute(7)) {
		t.Errorf("it is of %v", told.Event.PublishedAt)
	}
}

// Where the log is out of order, an event of the window may come after one that is beyond it.
func TestLateEventsAreFound(t *testing.T) {
	r := newRig(t)
	b := &bounded{Log: r.log, margin: 5 * time.Minute}
	r.Service.Log, r.Margin = b, b.margin
	r.put(0, named(idOf(8, 0), minute(8)))
	r.put(0, named(idOf(4, 0), minute(4)))
	r.tell(idOf(4, 0), Query{From: minute(0), To: minute(4)})
	r.fails(idOf(4, 0), Query{From: minute(5), To: minute(8)}, problem.NotFound)
	r.log.Damage(event.Partition{Tenant: "acme"}, 2)
	r.fails(idOf(4, 0), Query{From: minute(0), To: minute(4)}, problem.NotFound, "damaged")
	_, err := r.Tell(t.Context(), "acme", idOf(4, 0), Query{From: minute(5), To: minute(8)})
	if strings.Contains(problem.MessageOf(err), "damaged") {
		t.Errorf("what is damaged was published before: %v", err)
	}
}
