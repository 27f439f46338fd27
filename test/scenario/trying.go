package scenario

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

var trying = []scenario{
	{"a test event goes to the target alone", testEvents},
	{"test events are limited", testsLimited},
	{"a test event in a bucket", testFile},
	{"a bucket is probed", probes},
	{"what a registration would replay", estimates},
}

// result is that of a test.
type result struct {
	Outcome string
	Status  *int `json:"status_code"`
	Cause   *string
	TookMs  *int `json:"took_ms"`
}

// test sends a test event.
func (c *tenant) test(id string, body any) *result {
	c.t.Helper()
	var r result
	c.call("POST", path(id, "/_test"), body).ok(200, &r)
	if r.TookMs == nil || *r.TookMs < 0 {
		c.t.Errorf("a test of %s took %v ms", id, r.TookMs)
	}
	return &r
}

func (r *result) is(t *testing.T, outcome string, status int, cause string) {
	t.Helper()
	text, _ := json.Marshal(r)
	if r.Outcome != outcome || (r.Status == nil) != (status == 0) || r.Status != nil && *r.Status != status ||
		(r.Cause == nil) != (cause == "") || r.Cause != nil && !strings.Contains(*r.Cause, cause) {
		t.Errorf("the test is %s, want %s, %d, %q", text, outcome, status, cause)
	}
}

func testEvents(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r, other := newReceiver(c), newReceiver(c)
	c.register("shop", callback(r.URL))
	c.register("other", callback(other.URL))
	c.test("shop", nil).is(t, "delivered", 200, "")
	a := r.calls(1)[0]
	if a.header.Get("Sluice-Test") != "1" || a.Name != "sluice.test" || string(a.Payload) != `{"test":true}` || a.attempt != 1 {
		t.Errorf("the test event has %v and %s", a.header, a.body)
	}
	r.status(http.StatusBadRequest)
	c.test("shop", object{"event_name": "order.created"}).is(t, "rejected", 400, "bad request")
	r.status(http.StatusServiceUnavailable)
	c.test("shop", object{"event_name": nil}).is(t, "failed", 503, "service unavailable")
	r.status(http.StatusOK)
	c.stop("shop")
	c.test("shop", object{}).is(t, "delivered", 200, "") // while it is stopped
	c.call("POST", path("shop", "/_test"), object{"event_name": "order"}).fails(400, "invalid_request", "event_name")
	c.call("POST", path("shop", "/_test"), object{"name": "order.created"}).fails(400, "unknown_field", "name")
	c.call("POST", path("shop", "/_test?now=1"), nil).fails(400, "unknown_parameter", "now")
	c.call("POST", path("nobody", "/_test"), nil).fails(404, "not_found", "nobody")

	// Nothing was retried, listed, or given to anyone else, and the stream is where it was.
	c.start("shop")
	ids := c.publish("order.created", 3)
	r.has(ids)
	other.hasOnly(ids)
	if n := len(r.all()); n != 4+3 {
		t.Errorf("%d calls, want 4 tests and 3 events", n)
	}
	if got := c.rejected("shop"); len(got) > 0 {
		t.Errorf("rejected: %v", got)
	}
	c.wantActions("shop", "integration_created", "integration_started", "integration_stopped", "integration_started")
}

func testsLimited(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	c.register("shop", callback(r.URL))
	for n := 0; ; n++ { // at most 20 pass, in the minutes before and after a change
		a := c.call("POST", path("shop", "/_test"), nil)
		if a.status == http.StatusTooManyRequests {
			a.fails(http.StatusTooManyRequests, "too_many_requests", "shop")
			if a.header.Get("Retry-After") == "" || n < 10 {
				t.Errorf("refused after %d, Retry-After %q", n, a.header.Get("Retry-After"))
			}
			break
		}
		a.ok(200)
		if n > 40 {
			t.Fatal("41 tests at once")
		}
	}
}

func testFile(t *testing.T, env *Env) {
	c := newTenant(t, env)
	b := newBucket(t, env)
	c.register("files", b.fields("in"))
	c.test("files", nil).is(t, "failed", 404, "NoSuchBucket")
	b.create()
	c.test("files", object{"event_name": "order.created"}).is(t, "delivered", 200, "")
	if files := b.files("in/"); len(files) > 0 {
		t.Errorf("the test has left %s", files[0].key)
	}
	c.publish("order.created", 1)
	env.eventually(t, label("a file is written"), func() bool { return len(b.files("in/")) > 0 })
}

func probes(t *testing.T, env *Env) {
	c := newTenant(t, env)
	b := newBucket(t, env)
	c.register("files", b.fields(""))
	unreachable := func(n int) {
		t.Helper()
		env.eventually(t, label("the probe is in the log"), func() bool { return len(c.reasons("files", "target_unreachable")) == n })
	}
	unreachable(1)
	if reason := c.reasons("files", "target_unreachable")[0]; !strings.Contains(reason, b.name) || !strings.Contains(reason, "NoSuchBucket") {
		t.Errorf("the log says %q", reason)
	}
	var health struct {
		State   string
		Failing *struct {
			Cause  string
			Status int `json:"status_code"`
		}
	}
	c.call("GET", path("files", "/health"), nil).ok(200, &health)
	if health.State != "failing" || health.Failing == nil || health.Failing.Status != 404 || !strings.Contains(health.Failing.Cause, "NoSuchBucket") {
		t.Errorf("its health is %+v", health)
	}
	c.stop("files")
	c.start("files")
	unreachable(2)
	c.start("files") // it runs: no probe
	c.stop("files")
	c.call("PATCH", path("files"), object{"s3_parameters": object{"key_prefix": "in"}}).ok(200)
	unreachable(3)
	b.create()
	c.call("PATCH", path("files"), object{"s3_parameters": object{"key_prefix": "out"}}).ok(200)
	c.start("files")
	ids := c.publish("order.created", 2)
	env.eventually(t, label("the events are in files"), func() bool { return len(missing(ids, b.ids("out/"))) == 0 })
	if n := len(c.reasons("files", "target_unreachable")); n != 3 {
		t.Errorf("%d probes failed, want 3", n)
	}
}

func estimates(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := c.witness()
	before := time.Now()
	nothing := merged(callback(r.URL), object{"id": "all", "integration_type": "permanent", "starts_at": before.Add(-time.Hour).UTC().Format(time.RFC3339)})
	var none struct {
		Events, Bytes int
		Oldest        *string `json:"oldest_available"`
		Exact         bool
	}
	if a := c.call("POST", base+"/_estimate", nothing).ok(200, &none); none.Events != 0 || none.Bytes != 0 || none.Oldest != nil || !none.Exact {
		t.Errorf("an estimate over an empty log: %s", a.body)
	}
	env.past(t, before)
	ids := append(c.publish("order.created", 4), c.publish("return.created", 3)...)
	r.has(ids) // so they are in the log
	at := before.UTC().Format(time.RFC3339Nano)
	type estimate struct {
		Events, Bytes int
		Oldest        *string `json:"oldest_available"`
		First         *string `json:"first_at"`
		Last          *string `json:"last_at"`
		Exact         bool
		Seconds       *int
	}
	body := merged(callback(r.URL), object{"id": "replay", "integration_type": "temporary", "starts_at": at, "ends_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)})
	for names, want := range map[string]int{"": 7, "return": 3, "nothing": 0} {
		if names != "" {
			body["filter_conditions"] = object{"entity_filter": []string{names}}
		}
		var e estimate
		a := c.call("POST", base+"/_estimate", body).ok(200, &e)
		if e.Events != want || !e.Exact || e.Oldest == nil || (e.First == nil) != (want == 0) || (e.Last == nil) != (want == 0) || e.Bytes < want*100 {
			t.Errorf("an estimate of %d events: %s", want, a.body)
		}
		delete(body, "filter_conditions")
	}
	c.call("GET", path("replay"), nil).fails(404, "not_found")
	body["starts_at"] = time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	c.call("POST", base+"/_estimate", body).fails(400, "invalid_request", "starts_at")
	body["end_at"] = at
	c.call("POST", base+"/_estimate", body).fails(400, "unknown_field", "end_at")
	c.call("POST", base+"/_estimate?exact=1", body).fails(400, "unknown_parameter", "exact")
}
