package scenario

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

var delivering = []scenario{
	{"the deliveries of a webhook, with its outcomes", deliveriesOfAWebhook},
	{"the deliveries of a bucket", deliveriesOfABucket},
	{"the deliveries of a replay, page by page", deliveriesInPages},
	{"deliveries that are refused", deliveriesRefused},
}

// delivery is what became of an event, as returned by the API.
type delivery struct {
	EventID     *string `json:"event_id"`
	EventName   *string `json:"event_name"`
	PublishedAt *string `json:"published_at"`
	Outcome     string
	Attempts    int
	First       *string `json:"first_attempt_at"`
	Last        *string `json:"last_attempt_at"`
	StatusCode  *int    `json:"status_code"`
	Cause       *string
	TookMS      *int64 `json:"took_ms"`
	File        *string
}

func deliveriesPath(id string, query ...string) string {
	values := url.Values{}
	for i := 0; i < len(query); i += 2 {
		values.Set(query[i], query[i+1])
	}
	return path(id, "/deliveries?", values.Encode())
}

// deliveries reads all pages of the deliveries of an integration, by the query's names and
// values.
func (c *tenant) deliveries(id string, query ...string) []delivery {
	c.t.Helper()
	var all []delivery
	for next := ""; ; {
		at := deliveriesPath(id, query...)
		if next != "" {
			at = deliveriesPath(id, append(slices.Clone(query), "after", next)...)
		}
		var page struct {
			Deliveries []delivery
			Next       *string
		}
		c.call("GET", at, nil).ok(200, &page)
		if all = append(all, page.Deliveries...); page.Next == nil {
			return all
		}
		next = *page.Next
	}
}

// untilDelivered returns what deliveries there are of a query once there are n, or more, as
// an event may be delivered twice. A record is written with the offset, which may be some time
// after the receiver has the event.
func (c *tenant) untilDelivered(id string, n int, query ...string) []delivery {
	c.t.Helper()
	var all []delivery
	c.env.eventually(c.t, label("the deliveries are recorded"), func() bool {
		all = c.deliveries(id, query...)
		return len(all) >= n
	})
	return all
}

func deliveriesOfAWebhook(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	r.answers(func(a *arrival) int {
		switch a.Name {
		case "order.bad":
			return http.StatusBadRequest
		case "order.stuck":
			return http.StatusServiceUnavailable
		}
		return http.StatusNoContent
	})
	c.register("hook", merged(callback(r.URL), object{"filter_conditions": object{"entity_filter": []string{"order"}}}))
	began := time.Now()
	good := c.publish("order.paid", 3)
	c.publish("return.created", 2) // the filter drops these
	r.has(good)
	bad := c.publish("order.bad", 1)[0]
	for _, id := range good {
		d := c.untilDelivered("hook", 1, "event_id", id)[0]
		e := r.find(id).event
		if d.Outcome != "delivered" || d.Attempts != 1 || !is(d.EventName, "order.paid") || !is(d.PublishedAt, e.PublishedAt) || !is(d.StatusCode, 204) ||
			d.Cause != nil || d.File != nil || d.First == nil || d.TookMS == nil || d.Last == nil || *d.Last != *d.First {
			t.Errorf("the delivery of %s is %+v", id, d)
		}
	}
	d := c.untilDelivered("hook", 1, "outcome", "rejected")[0]
	if !is(d.EventID, bad) || !is(d.StatusCode, 400) || d.Cause == nil || !strings.Contains(*d.Cause, "400") {
		t.Errorf("the rejected one is %+v", d)
	}

	stuck := c.publish("order.stuck", 1)[0]
	env.eventually(t, label("it is retried"), func() bool {
		all := c.deliveries("hook", "outcome", "retrying")
		if len(all) != 1 || all[0].Attempts < 2 {
			return false
		}
		d = all[0]
		return true
	})
	if !is(d.EventID, stuck) || d.First == nil || d.Last == nil || *d.First >= *d.Last || !is(d.StatusCode, 503) || d.Cause == nil {
		t.Errorf("what is retried is %+v", d)
	}
	first := *d.First
	c.call("POST", path("hook", "/_skip"), object{"event_id": stuck}).ok(200)
	d = c.untilDelivered("hook", 1, "event_id", stuck)[0]
	if d.Outcome != "skipped" || d.Attempts < 2 || !is(d.First, first) {
		t.Errorf("skipped it is %+v", d)
	}

	stuck = c.publish("order.stuck", 1)[0]
	env.eventually(t, label("it is retried"), func() bool { return len(c.deliveries("hook", "event_id", stuck)) > 0 })
	r.status(http.StatusOK)
	// Between the commit that ends its attempts and the record of it, neither may be there.
	d = c.untilDelivered("hook", 1, "event_id", stuck, "outcome", "delivered")[0]
	if d.Attempts < 2 || !is(d.StatusCode, 200) || d.First == nil || d.Last == nil || *d.First >= *d.Last || d.Cause != nil {
		t.Errorf("delivered after a failure it is %+v", d)
	}

	from := began.UTC().Format(time.RFC3339Nano)
	if all := c.deliveries("hook", "event_name", "order.paid", "from", from, "to", time.Now().UTC().Format(time.RFC3339Nano)); len(all) < 3 {
		t.Errorf("of order.paid there are %d, want 3", len(all))
	}
	if all := c.deliveries("hook", "to", began.Add(-time.Hour).UTC().Format(time.RFC3339Nano)); len(all) != 0 {
		t.Errorf("of before it was registered there are %+v", all)
	}
	other := newTenant(t, env)
	other.call("GET", deliveriesPath("hook"), nil).fails(http.StatusNotFound, "not_found", "hook")
}

func deliveriesOfABucket(t *testing.T, env *Env) {
	c := newTenant(t, env)
	b := newBucket(t, env).create()
	c.register("bucket", b.fields("sent"))
	ids := c.publish("order.created", 4)
	b.has("sent", ids)
	for _, d := range c.untilDelivered("bucket", 4) {
		if d.Outcome != "delivered" || d.EventID == nil || !slices.Contains(ids, *d.EventID) || d.File == nil || d.Attempts != 1 {
			t.Fatalf("a delivery is %+v", d)
		}
		if !slices.ContainsFunc(b.files("sent"), func(f file) bool { return f.key == *d.File && strings.Contains(string(f.content), *d.EventID) }) {
			t.Errorf("%s is not in the file %s", *d.EventID, *d.File)
		}
	}
}

func deliveriesInPages(t *testing.T, env *Env) {
	c := newTenant(t, env)
	all := c.witness()
	ids := c.publish("order.created", 25)
	all.has(ids)
	r := newReceiver(c)
	from := all.find(ids[0]).event.at(t)
	c.replay("replay", r.URL, from, time.Now().Add(time.Hour))
	r.has(ids)
	c.untilDelivered("replay", 25)
	var got []string
	for _, d := range c.deliveries("replay", "limit", "4") {
		got = append(got, *d.EventID)
	}
	if missed := missing(ids, got); len(missed) > 0 {
		t.Errorf("%d of %d are missing among %d", len(missed), len(ids), len(got))
	}
}

func deliveriesRefused(t *testing.T, env *Env) {
	c := newTenant(t, env)
	c.register("hook", callback(newReceiver(c).URL))
	for _, bad := range []struct{ name, value, code string }{
		{"limit", "0", "invalid_request"},
		{"limit", "201", "invalid_request"},
		{"event_id", "x", "invalid_request"},
		{"event_name", "order", "invalid_request"},
		{"outcome", "failed", "invalid_request"},
		{"from", "yesterday", "invalid_request"},
		{"to", "", "invalid_request"},
		{"after", "eA", "invalid_request"},
		{"position", "earliest", "unknown_parameter"},
	} {
		c.call("GET", deliveriesPath("hook", bad.name, bad.value), nil).fails(400, bad.code, bad.name)
	}
	c.call("GET", deliveriesPath("nobody"), nil).fails(404, "not_found", "nobody")
	c.call("POST", path("hook", "/deliveries"), object{}).fails(405, "method_not_allowed")
}
