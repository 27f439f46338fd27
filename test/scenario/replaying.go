package scenario

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

var replaying = []scenario{
	{"a replay of the past", replayPast},
	{"a replay that ends later", replayFuture},
	{"a replay whose end passes while it is busy", replayBusy},
}

func utc(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// replay registers a temporary integration.
func (c *tenant) replay(id, url string, from, until time.Time) {
	c.t.Helper()
	c.register(id, merged(callback(url), object{"integration_type": "temporary", "starts_at": utc(from), "ends_at": utc(until)}))
}

// publishedIn are the ids of the arrivals that were published in a span, both
// ends included.
func publishedIn(t *testing.T, r *receiver, from, until time.Time) []string {
	t.Helper()
	var ids []string
	for _, a := range r.all() {
		if at := a.event.at(t); !at.Before(from) && !at.After(until) {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

func replayPast(t *testing.T, env *Env) {
	c := newTenant(t, env)
	all := c.witness()
	var times []time.Time // of the last event of each batch
	for range 4 {
		ids := c.publish("order.created", 60)
		all.has(ids)
		at := all.find(ids[59]).event.at(t)
		for _, id := range ids {
			if one := all.find(id).event.at(t); one.After(at) {
				at = one
			}
		}
		times = append(times, at)
		env.past(t, at)
	}
	// From the very millisecond of an event to the very millisecond of another.
	from, until := times[0], times[2]
	want := publishedIn(t, all, from, until)
	if len(want) < 121 || len(want) >= 240 {
		t.Fatalf("%d events are in the span", len(want))
	}
	r := newReceiver(c)
	r.answers(func(a *arrival) int {
		if a.ID == want[0] {
			return http.StatusBadRequest
		}
		return http.StatusOK
	})
	c.replay("past", r.URL, from, until)
	c.untilStopped("past")
	r.hasOnly(want[1:])

	// Its history can be read; it cannot be started or changed.
	c.wantActions("past", "integration_created", "integration_started", "event_rejected", "integration_stopped")
	counts := fmt.Sprintf("Of %d events read up to %s: 0 filtered out, %d delivered, 1 rejected (1 of them kept), 0 skipped.", len(want), utc(until), len(want)-1)
	if last := c.logs("past")[0]; !strings.Contains(last.Reason, "complete") || !strings.Contains(last.Reason, counts) {
		t.Errorf("the replay was stopped for the reason %q, want %q", last.Reason, counts)
	}
	if h := c.health("past"); h.Progress == nil || h.Progress.Read != len(want) || h.Progress.Delivered != len(want)-1 || h.Progress.Rejected != 1 || h.LastDeliveredAt == nil {
		t.Errorf("its health is %+v, its progress %+v", h, h.Progress)
	}
	wantSame(t, want[:1], c.rejected("past"))
	c.call("POST", path("past", "/_start"), nil).fails(http.StatusBadRequest, "replay_finished", "past")
	if status := c.status("past"); status != "stopped" {
		t.Errorf("a finished replay is %s", status)
	}
	r.status(http.StatusOK)
	c.call("POST", path("past", "/rejected_events/", want[0], "/_retry"), nil).empty()

	for _, span := range [][2]time.Time{{from, from}, {until, from}} {
		c.call("POST", base, merged(callback(r.URL), object{
			"id": "no-span", "integration_type": "temporary",
			"starts_at": utc(span[0]), "ends_at": utc(span[1]),
		})).fails(http.StatusBadRequest, "invalid_request", "ends_at")
	}
}

// replayFuture has a replay that ends while events are being published, with
// a stop and a start in between.
func replayFuture(t *testing.T, env *Env) {
	c := newTenant(t, env)
	all := c.witness()
	before := c.publish("order.created", 20)
	all.has(before)
	r := newReceiver(c)
	from, until := all.find(before[10]).event.at(t), time.Now().Add(8*time.Second).Truncate(time.Millisecond) // the stop comes before
	c.replay("replay", r.URL, from, until)
	r.has(publishedIn(t, all, from, until))
	c.stop("replay")
	all.has(c.publish("order.created", 20))
	c.start("replay")
	for {
		ids := c.publish("order.created", 10)
		all.has(ids)
		if all.find(ids[0]).event.at(t).After(until) {
			break
		}
	}
	c.untilStopped("replay")
	r.hasOnly(publishedIn(t, all, from, until))
	if len(missing(arrivedIDs(all), r.taken())) == 0 {
		t.Error("every event is in the span, so it proves nothing")
	}
	c.wantActions("replay", "integration_created", "integration_started", "integration_stopped", "integration_started", "integration_stopped")
	c.call("POST", path("replay", "/_start"), nil).fails(http.StatusBadRequest, "replay_finished")
}

// replayBusy has a replay whose end passes while it is still catching up. It
// stops itself when it is finished, like any other.
func replayBusy(t *testing.T, env *Env) {
	c := newTenant(t, env)
	all := c.witness()
	ids := c.publish("order.created", 1+4*env.Settings.InFlight)
	all.has(ids)
	from := all.find(ids[0]).event.at(t)
	for _, id := range ids {
		if at := all.find(id).event.at(t); at.Before(from) {
			from = at
		}
	}
	r := newReceiver(c)
	r.handles(func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-time.After(250 * time.Millisecond):
		case <-req.Context().Done():
		}
	})
	c.replay("replay", r.URL, from, time.Now().Add(500*time.Millisecond))
	c.untilStopped("replay")
	wantSame(t, ids, arrivedIDs(r))
}
