package scenario

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

var seeing = []scenario{
	{"the health of a webhook that fails, is stopped and started", healthOfAWebhook},
	{"the health of a bucket and of a replay", healthOfOthers},
	{"the log, page by page", logPages},
}

// health is how an integration does, as returned by the API.
type health struct {
	State            string
	Reason           *string
	DeliveredThrough *string `json:"delivered_through"`
	Behind           struct {
		Events int
		Bytes  int64
		Oldest *string `json:"oldest_published_at"`
	}
	Failing *struct {
		Since         string
		Attempts      int
		NextAttemptAt *string `json:"next_attempt_at"`
		EventID       *string `json:"event_id"`
		EventName     *string `json:"event_name"`
		StatusCode    *int    `json:"status_code"`
		Cause         string
		StopsAt       string `json:"stops_at"`
	}
	RestartBy       *string `json:"restart_by"`
	LastDeliveredAt *string `json:"last_delivered_at"`
	Progress        *struct {
		Fraction                                     float64
		Read, Filtered, Delivered, Rejected, Skipped int
	}
}

func (c *tenant) health(id string) health {
	c.t.Helper()
	var h health
	c.call("GET", path(id, "/health"), nil).ok(200, &h)
	return h
}

// untilHealth returns the health of an integration once it is as expected.
func (c *tenant) untilHealth(id, what string, ok func(h health) bool) health {
	c.t.Helper()
	var h health
	c.env.eventually(c.t, func() string { return what + "; its health is " + string(c.call("GET", path(id, "/health"), nil).body) }, func() bool {
		h = c.health(id)
		return ok(h)
	})
	return h
}

// is compares what may be null.
func is[T comparable](p *T, want T) bool { return p != nil && *p == want }

func healthOfAWebhook(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	r.answers(func(a *arrival) int {
		if a.Name == "order.stuck" {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	c.register("hook", callback(r.URL))
	if h := c.health("hook"); h.State != "healthy" || h.Behind.Events != 0 || h.Behind.Oldest != nil || h.Failing != nil || h.RestartBy != nil || h.Progress != nil {
		t.Errorf("at first its health is %+v", h)
	}
	events := []object{{"name": "order.stuck", "payload": object{}}}
	for range 9 {
		events = append(events, object{"name": "order.created", "payload": object{}})
	}
	ids := c.send(object{"events": events})
	r.has(ids[1:])
	h := c.untilHealth("hook", "only the stuck event is behind", func(h health) bool { return h.State == "failing" && h.Behind.Events == 1 })
	stuck := r.find(ids[0]).event
	f := h.Failing
	if !is(f.EventID, ids[0]) || !is(f.EventName, "order.stuck") || !is(f.StatusCode, 503) || f.Attempts < 1 || f.NextAttemptAt == nil ||
		f.Cause != "service unavailable (HTTP status code 503)" || f.Since >= f.StopsAt {
		t.Errorf("it fails with %+v", f)
	}
	if !is(h.Behind.Oldest, stuck.PublishedAt) || h.Behind.Bytes < 1 || h.DeliveredThrough == nil || *h.DeliveredThrough >= stuck.PublishedAt {
		t.Errorf("its health is %+v, and the stuck event was published at %s", h, stuck.PublishedAt)
	}
	var list struct{ Integrations []struct{ Health *health } }
	if c.call("GET", base+"?include=health", nil).ok(200, &list); len(list.Integrations) != 1 || list.Integrations[0].Health == nil || list.Integrations[0].Health.State != "failing" {
		t.Errorf("the list has %+v", list)
	}

	c.stop("hook")
	h = c.health("hook")
	if h.State != "stopped" || !is(h.Reason, "stopped_by_api") || h.Failing != nil || h.Behind.Events < 1 || h.RestartBy == nil {
		t.Errorf("stopped, its health is %+v", h)
	}
	at, err := time.Parse(time.RFC3339, *h.RestartBy)
	if left := time.Until(at); err != nil || left > env.Settings.Retention || left < env.Settings.Retention-env.Timeout-time.Minute {
		t.Errorf("it must be restarted by %s, and the retention is %v", *h.RestartBy, env.Settings.Retention)
	}
	r.status(http.StatusOK)
	c.start("hook")
	h = c.untilHealth("hook", "it is through", func(h health) bool { return h.State == "healthy" && h.Behind.Events == 0 })
	if h.LastDeliveredAt == nil || *h.LastDeliveredAt < stuck.PublishedAt || h.DeliveredThrough == nil || *h.DeliveredThrough < stuck.PublishedAt || h.Reason != nil || h.RestartBy != nil {
		t.Errorf("through, its health is %+v", h)
	}
	c.call("GET", path("nobody", "/health"), nil).fails(http.StatusNotFound, "not_found", "nobody")
	c.call("GET", path("hook", "/health?verbose=1"), nil).fails(http.StatusBadRequest, "unknown_parameter", "verbose")
	c.call("GET", base+"?include=logs", nil).fails(http.StatusBadRequest, "invalid_request", "include")
	other := newTenant(t, env)
	other.call("GET", path("hook", "/health"), nil).fails(http.StatusNotFound, "not_found", "hook")
}

func healthOfOthers(t *testing.T, env *Env) {
	c := newTenant(t, env)
	all := c.witness()
	ids := c.publish("order.created", 5)
	all.has(ids)
	from := all.find(ids[0]).event.at(t)
	c.register("bucket", newBucket(t, env).create().fields("health"))
	r := newReceiver(c)
	c.replay("ahead", r.URL, from, time.Now().Add(time.Hour))
	c.replay("past", r.URL, from, from.Add(time.Millisecond))
	c.untilHealth("bucket", "it is healthy", func(h health) bool { return h.State == "healthy" && h.Failing == nil })
	c.untilHealth("ahead", "it is live", func(h health) bool {
		return h.State == "healthy" && h.Progress != nil && h.Progress.Fraction < .5
	})
	h := c.untilHealth("past", "it is complete", func(h health) bool { return h.State == "complete" })
	if h.Progress == nil || h.Progress.Fraction != 1 || h.Behind.Events != 0 || h.RestartBy != nil || h.Reason != nil {
		t.Errorf("complete, its health is %+v", h)
	}
}

func logPages(t *testing.T, env *Env) {
	c := newTenant(t, env)
	c.register("hook", callback(newReceiver(c).URL))
	for range 3 {
		c.stop("hook")
		c.start("hook")
	}
	all := c.logs("hook")
	var got []entry
	var page struct {
		Entries []map[string]string
		Next    *string
	}
	for query := "?limit=3"; ; query = "?limit=3&after=" + *page.Next {
		page.Next = nil
		c.call("GET", path("hook", "/logs", query), nil).ok(200, &page)
		for _, e := range page.Entries {
			got = append(got, entry{e["action"], e["reason"], e["created_at"]})
		}
		if len(page.Entries) > 3 || page.Next == nil {
			break
		}
	}
	if !slices.Equal(got, all) || len(all) != 8 {
		t.Errorf("page by page the log is %v, and at once %v", got, all)
	}
	c.call("GET", path("hook", "/logs?action=integration_stopped&limit=200"), nil).ok(200, &page)
	if len(page.Entries) != 3 || page.Entries[0]["action"] != "integration_stopped" || page.Next != nil {
		t.Errorf("of the stops the log has %v", page.Entries)
	}
	for _, query := range []string{"limit=0", "limit=201", "action=stop", "after=eA"} {
		name, _, _ := strings.Cut(query, "=")
		c.call("GET", path("hook", "/logs?", query), nil).fails(http.StatusBadRequest, "invalid_request", name)
	}
}
