package lifecycle_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// A start from another place gives every lane's cursor that place and nothing of its old
// state, and the filter drops what was published before it.
func TestStartFrom(t *testing.T) {
	b := setup(t)
	b.Settings.Lanes = 2
	b.register(webhook("orders"))
	for range 3 {
		b.publish(0)
		b.publish(1)
		b.pass(time.Hour)
	}
	old := b.cursor("orders", 1)
	old.AckState = handoff.AckState{Offset: handoff.Offset{Segment: 1}, Ahead: []int{2}}
	old.Upload = &handoff.Upload{Key: "k"}
	b.ok(b.store.Store.Commit(t.Context(), store.PutCursor{Cursor: old}))
	second := began.Add(time.Hour)
	for _, to := range []struct {
		place   integration.Place
		segment uint64
		reason  string
	}{
		{integration.Place{At: second}, 1, "Position moved via API from 2025-06-01T12:00:00.000Z to 2025-06-01T13:00:00.000Z."},
		{integration.Place{Latest: true}, 3, "Position moved via API from 2025-06-01T13:00:00.000Z to the end of the log."},
		{integration.Place{At: began}, 0, "Position moved via API from the end of the log to 2025-06-01T12:00:00.000Z."},
	} {
		b.stop("orders")
		b.pass(quietAfter)
		b.scheduled = nil
		in, err := b.StartFrom(t.Context(), tenant, "orders", to.place)
		b.ok(err)
		if from := in.EventFilter().From; !in.Running || !from.Equal(to.place.At) || len(b.scheduled) != 2 {
			t.Errorf("%+v: running %t, filter from %v, scheduled %v", to.place, in.Running, from, b.scheduled)
		}
		for lane := range 2 {
			c := b.cursor("orders", lane)
			if diff := cmp.Diff(handoff.AckState{Offset: handoff.Offset{Segment: to.segment}}, c.AckState); diff != "" || c.Upload != nil || c.State != handoff.Scheduled {
				t.Errorf("%+v, lane %d: %+v\n%s", to.place, lane, c, diff)
			}
		}
		entries, err := b.Entries(t.Context(), tenant, "orders")
		b.ok(err)
		if entries[0].Action != integration.ActionStarted || entries[1].Action != integration.ActionPositionMoved || entries[1].Reason != to.reason {
			t.Errorf("the log says %+v, want %q", entries[:2], to.reason)
		}
	}
}

// What is refused changes nothing. The edge of the retention and now are allowed.
func TestStartFromWhereNoneCan(t *testing.T) {
	b := setup(t)
	b.register(webhook("orders"))
	b.register(b.replay("again"))
	b.stop("again")
	refuse := func(id string, to integration.Place, code problem.Code, message string) {
		t.Helper()
		before := b.state(tenant)
		_, err := b.StartFrom(t.Context(), tenant, id, to)
		if b.is(err, code); !strings.Contains(problem.MessageOf(err), message) {
			t.Errorf("%q does not say %q", problem.MessageOf(err), message)
		}
		if diff := cmp.Diff(before, b.state(tenant)); diff != "" {
			t.Error(diff)
		}
	}
	latest := integration.Place{Latest: true}
	refuse("orders", latest, problem.NotStopped, `"orders" is running`)
	b.stop("orders")
	refuse("orders", latest, problem.NotStopped, `"orders" is stopping`)
	b.pass(quietAfter)
	edge := b.now().Add(-b.Settings.Retention)
	refuse("again", latest, problem.InvalidRequest, "is a replay")
	refuse("other", latest, problem.NotFound, "other")
	refuse("orders", integration.Place{At: b.now().Add(time.Millisecond)}, problem.InvalidRequest, "in the future")
	refuse("orders", integration.Place{At: edge.Add(-time.Millisecond)}, problem.InvalidRequest, "the log reaches back to "+event.FormatTime(edge))
	for _, at := range []time.Time{edge, b.now()} {
		_, err := b.StartFrom(t.Context(), tenant, "orders", integration.Place{At: at})
		b.ok(err)
		b.stop("orders")
		b.pass(quietAfter)
		edge = edge.Add(quietAfter)
	}
}

// A start from a time within the retention moves there even if the integration was stopped
// for longer: no event from there on is skipped.
func TestStartFromAfterTheRetention(t *testing.T) {
	b := setup(t)
	b.register(webhook("orders"))
	b.stop("orders")
	b.publish(0)
	b.pass(40 * 24 * time.Hour)
	at := b.now()
	b.publish(0)
	b.pass(time.Hour)
	_, err := b.StartFrom(t.Context(), tenant, "orders", integration.Place{At: at})
	b.ok(err)
	if c := b.cursor("orders", 0); c.Offset.Segment != 1 {
		t.Errorf("it starts at %+v, want after segment 1", c.Offset)
	}
	for _, action := range b.actions("orders") {
		if action == integration.ActionEventsSkipped {
			t.Error("the log says that events were skipped")
		}
	}
}

// Lanes beyond those of now may have events of the time that a start moves to: it reads them, as a
// registration does.
func TestAStartFromATimeReadsLanesThatWereLowered(t *testing.T) {
	b := setup(t)
	b.Settings.Lanes = 2
	b.publishAt(0, began)
	b.publishAt(1, began)
	b.pass(time.Hour)
	b.Settings.Lanes = 1
	b.register(webhook("x"))
	b.stop("x")
	b.pass(time.Hour)
	in, err := b.StartFrom(t.Context(), tenant, "x", integration.Place{At: began})
	b.ok(err)
	if in.Lanes != 2 {
		t.Fatalf("it has %d lanes, want two", in.Lanes)
	}
	c, err := b.Store.Cursor(t.Context(), handoff.Key{Tenant: tenant, Integration: "x", Lane: 1})
	if err != nil || c.Offset.Segment != 0 || c.State != handoff.Scheduled {
		t.Errorf("in the second lane it is %+v, %v, want it before the event", c, err)
	}
}
