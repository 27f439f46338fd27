package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// alertEvent is an alert in the log of the operator's tenant.
type alertEvent struct {
	ID, Tenant, Name string
	Payload          struct{ Tenant, ID string }
}

// alertsOf reads everything that the operator's tenant has in its log.
func alertsOf(t *testing.T, operator *client) (all []alertEvent) {
	t.Helper()
	var page struct {
		Events []alertEvent
		Next   string
		AtEnd  bool `json:"at_end"`
	}
	for path := eventstream + "/reader/events"; ; path = eventstream + "/reader/events?position=" + page.Next {
		page.Events = nil
		a := operator.call(t, "GET", path, "")
		if err := json.Unmarshal(a.body, &page); err != nil || a.status != http.StatusOK {
			t.Fatalf("pulling: %d %s", a.status, a.body)
		}
		if all = append(all, page.Events...); page.AtEnd {
			return all
		}
	}
}

// stops counts the entries of a log that say that an integration was stopped.
func stops(t *testing.T, c *client, id string) int {
	t.Helper()
	var log struct{ Entries []struct{ Action string } }
	a := c.call(t, "GET", eventstream+"/"+id+"/logs?action=integration_stopped&limit=200", "")
	if err := json.Unmarshal(a.body, &log); err != nil || a.status != http.StatusOK {
		t.Fatalf("reading the log: %d %s", a.status, a.body)
	}
	return len(log.Entries)
}

// TestAlertsAcrossKills kills a node while an integration is stopped and started all the
// time and the receiver of another one fails now and then. Each stop is told once, and of
// each outage its beginning and its end in turn.
func TestAlertsAcrossKills(t *testing.T) {
	t.Parallel()
	env := maps.Clone(fast)
	env["SLUICE_OPERATOR_TENANT"], env["SLUICE_ALERT_FAILING_AFTER"] = "operator", "100ms"
	n := newNode(t, checked, env, "--dev")
	c, operator := newClient(n, "acme"), newClient(n, "operator")
	var down atomic.Bool
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(receiver.Close)
	operator.register(t, "reader", newSink(t).url)
	c.register(t, "toggled", newSink(t).url)
	c.register(t, "flapping", receiver.URL)

	stopToggling := toggle(t, c, "toggled", time.Second) // its log keeps 200 entries
	for round := range 8 {
		down.Store(round%2 == 0)
		for range 3 { // a call may get no response
			_, _, _ = c.publish(t.Context(), 1, `{}`)
			sleep(t, 200*time.Millisecond, time.Second)
		}
		n.kill()
		n.start()
	}
	down.Store(false)
	mustPublish(t, c, 1)
	stopToggling()
	var all []alertEvent
	until(t, "every stop is told", func() bool {
		told := 0
		all = alertsOf(t, operator)
		for _, a := range all {
			if a.Name == "integration.stopped" {
				told++
			}
		}
		want := stops(t, c, "toggled")
		if told > want {
			t.Fatalf("%d stops are told, there were %d", told, want)
		}
		return told == want && want > 0
	})
	ids := map[string]bool{}
	outages := 0
	last := "integration.recovered"
	for _, a := range all {
		if ids[a.ID] || a.Tenant != "operator" || a.Payload.Tenant != "acme" {
			t.Errorf("%+v, its id is new: %v", a, !ids[a.ID])
		}
		if ids[a.ID] = true; a.Payload.ID != "flapping" {
			continue
		}
		if a.Name == last || a.Name != "integration.failing" && a.Name != "integration.recovered" {
			t.Errorf("after %s it is told %s", last, a.Name)
		}
		last = a.Name
		outages++
	}
	t.Logf("%d alerts, %d of them of outages", len(all), outages)
	if outages == 0 {
		t.Error("no outage is told; it proves little")
	}
}
