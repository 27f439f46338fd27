package scenario

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var lives = []scenario{
	{"the life of an integration", life},
	{"a stop under load ends everything, a start loses nothing", stopUnderLoad},
	{"an update, and what it keeps", update},
	{"updates that are refused", updateRefused},
	{"registrations that are refused", registerRefused},
	{"ten integrations, also of eleven at once", limit},
	{"a start from another place in the log", startFrom},
	{"a namesake of a deleted integration starts afresh", reborn},
}

func life(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	apiKey, short := env.secret("key-", 12), env.secret("key-", 11)
	signing, _ := env.signingSecret()
	fields := object{
		"id": "shop", "integration_type": "permanent", "starts_at": nil, "s3_parameters": nil,
		"callback_parameters": object{"callback_url": r.URL, "api_key": apiKey, "signing_secret": signing},
		"filter_conditions":   object{"event_filter": []string{"order.created"}},
	}
	want := object{
		"id": "shop", "integration_type": "permanent", "status": "running",
		"callback_parameters": object{"callback_url": r.URL, "api_key": masked(apiKey), "signing_secret": masked(signing)},
		"filter_conditions":   object{"event_filter": []any{"order.created"}},
	}
	check := func(a *answer) {
		t.Helper()
		got := object{}
		a.ok(http.StatusOK, &got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", a.call, diff)
		}
	}
	check(c.call("POST", base, fields))
	check(c.call("GET", path("shop"), nil))
	check(c.call("POST", path("shop", "/_start"), nil))
	c.stop("shop")
	want["status"] = "stopped"
	check(c.call("GET", path("shop"), nil))
	check(c.call("POST", path("shop", "/_stop"), nil))
	c.start("shop")
	c.wantActions("shop", "integration_created", "integration_started", "integration_stopped", "integration_started")
	if last := c.logs("shop")[0]; last.Reason != "Started via API." {
		t.Errorf("started, for the reason %q", last.Reason)
	}

	c.register("a-first", object{"callback_parameters": object{"callback_url": r.URL, "api_key": short}})
	var list struct{ Integrations []document }
	c.call("GET", base, nil).ok(200, &list)
	if len(list.Integrations) != 2 || list.Integrations[0].ID != "a-first" || list.Integrations[1].ID != "shop" {
		t.Fatalf("the list is not by id: %v", list)
	}
	if shown := list.Integrations[0].Callback["api_key"]; shown != "********" {
		t.Errorf("a secret of 11 letters is shown as %q", shown)
	}
	c.call("DELETE", path("shop"), nil).empty()
	for _, call := range []struct{ method, rest string }{
		{"GET", ""}, {"PATCH", ""}, {"DELETE", ""}, {"POST", "/_start"}, {"POST", "/_stop"}, {"GET", "/logs"}, {"GET", "/rejected_events"},
	} {
		c.call(call.method, path("shop", call.rest), object{}).fails(http.StatusNotFound, "not_found", "shop")
	}
}

// stopUnderLoad stops an integration again and again while it is busy. What is
// published meanwhile comes after the start, and nothing before.
func stopUnderLoad(t *testing.T, env *Env) {
	c := newTenant(t, env)
	all := c.witness()
	r := newReceiver(c)
	r.handles(func(_ http.ResponseWriter, req *http.Request) { // 16 calls at a time last a while
		select {
		case <-time.After(40 * time.Millisecond):
		case <-req.Context().Done():
		}
	})
	c.register("shop", callback(r.URL))
	var ids []string
	proofs := 0
	for round := range 3 {
		before := len(r.all())
		ids = append(ids, c.publish("order.created", 500)...)
		r.calls(before + 1)
		c.stop("shop")
		// A call that the stop has ended may lie unread in the receiver's socket, for as long as
		// this machine is busy: only its stamp, in seconds, tells when it was made.
		silence := time.Now().Truncate(time.Second).Add(time.Second)
		for time.Now().Before(silence.Add(300 * time.Millisecond)) {
			more := c.publish("order.created", 10)
			all.has(more)
			ids = append(ids, more...)
		}
		late := slices.DeleteFunc(r.all(), func(a *arrival) bool { return a.sent(t).Before(silence) })
		if len(late) > 0 {
			t.Errorf("round %d: %d calls after the status was stopped", round, len(late))
		}
		if len(missing(ids, arrivedIDs(r))) > 0 {
			proofs++
		}
		c.start("shop")
	}
	if proofs == 0 {
		t.Error("everything had arrived before each stop, so it proves nothing")
	}
	env.eventually(t, label("everything arrived after the starts"), func() bool { return len(missing(ids, arrivedIDs(r))) == 0 })
	wantSame(t, ids, arrivedIDs(r))
	all.hasOnly(ids)
}

// arrivedIDs are the ids of all calls, whatever became of them.
func arrivedIDs(r *receiver) []string {
	var ids []string
	for _, a := range r.all() {
		ids = append(ids, a.ID)
	}
	return ids
}

func update(t *testing.T, env *Env) {
	c := newTenant(t, env)
	first, second := newReceiver(c), newReceiver(c)
	apiKey := env.secret("key-", 40)
	signing, key := env.signingSecret()
	c.register("shop", object{
		"callback_parameters": object{"callback_url": first.URL, "api_key": apiKey, "signing_secret": signing},
		"filter_conditions":   object{"entity_filter": []string{"order"}},
	})
	first.has(c.publish("order.created", 1))
	c.stop("shop")
	held := c.publish("return.created", 1) // passes the filter only after the update

	// As a client does that reads, changes one field and sends all of it back.
	doc := object{}
	c.call("GET", path("shop"), nil).ok(200, &doc)
	doc["callback_parameters"].(object)["callback_url"] = second.URL
	doc["filter_conditions"] = nil
	// The stored key was not given for the other receiver: it does not go there.
	c.call("PATCH", path("shop"), doc).fails(400, "invalid_request", "callback_parameters.callback_url", "callback_parameters.api_key again")
	c.call("PATCH", path("shop"), callback(second.URL)).fails(400, "invalid_request", "callback_parameters.api_key again")
	shown := doc["callback_parameters"].(object)["api_key"]
	doc["callback_parameters"].(object)["api_key"] = apiKey
	got := object{}
	c.call("PATCH", path("shop"), doc, "Content-Type", "application/merge-patch+json").ok(200, &got)
	delete(doc, "filter_conditions")
	doc["callback_parameters"].(object)["api_key"] = shown
	if diff := cmp.Diff(doc, got); diff != "" {
		t.Errorf("the response to the update (-want +got):\n%s", diff)
	}
	c.start("shop")
	second.has(held)
	a := second.find(held[0])
	if a.header.Get("Authorization") != "Bearer "+apiKey || a.header.Get("Webhook-Signature") != sign(key, a) {
		t.Errorf("the key that was sent again is not used, or the mask did not keep the signing secret: %v", a.header)
	}

	c.stop("shop")
	c.call("PATCH", path("shop"), object{"callback_parameters": object{"api_key": nil, "signing_secret": nil}}).ok(200)
	c.start("shop")
	bare := c.publish("return.created", 1)
	second.has(bare)
	if h := second.find(bare[0]).header; h.Get("Authorization") != "" {
		t.Errorf("the api_key was removed, and is sent: %v", h)
	}
	c.wantActions("shop", "integration_created", "integration_started", "integration_stopped", "integration_updated",
		"integration_started", "integration_stopped", "integration_updated", "integration_started")
	if n := len(first.all()); n != 1 {
		t.Errorf("the first URL got %d calls, want 1", n)
	}
}

func updateRefused(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	c.register("shop", callback(r.URL))
	patch := func(id string, fields any) *answer { t.Helper(); return c.call("PATCH", path(id), fields) }
	patch("shop", callback(r.URL)).fails(http.StatusBadRequest, "not_stopped", "shop", "stop")
	c.stop("shop")
	bucket := env.bucketFields("any-bucket", "")
	for _, bad := range []struct {
		fields any
		code   string
		words  []string
	}{
		{object{"id": "other"}, "invalid_request", []string{"id"}},
		{object{"integration_type": "temporary"}, "invalid_request", []string{"integration_type"}},
		{object{"starts_at": "2026-01-01T00:00:00.000Z"}, "invalid_request", []string{"starts_at"}},
		{object{"ends_at": "2026-01-01T00:00:00.000Z"}, "invalid_request", []string{"ends_at"}},
		{object{"status": "paused"}, "invalid_request", []string{"status"}},
		{object{"s3_parameters": bucket}, "invalid_request", []string{"s3_parameters"}},
		{object{"callback_parameters": nil, "s3_parameters": bucket}, "invalid_request", []string{"s3_parameters"}},
		{object{"callback_parameters": nil}, "invalid_request", []string{"callback_parameters"}},
		{object{"callback_parameters": object{"callback_url": nil}}, "invalid_request", []string{"callback_url"}},
		{object{"callback_parameters": object{"callback_url": "ftp://example.com"}}, "invalid_request", []string{"callback_url"}},
		{object{"callback_parameters": object{"api_kee": "x"}}, "unknown_field", []string{"api_kee"}},
		{object{"end_at": nil}, "unknown_field", []string{"end_at"}},
		{object{"filter_conditions": object{"event_filter": []string{}}}, "invalid_request", []string{"event_filter"}},
		{`[]`, "invalid_request", nil},
		{`{`, "invalid_json", nil},
	} {
		patch("shop", bad.fields).fails(http.StatusBadRequest, bad.code, bad.words...)
	}
	c.call("PATCH", path("shop"), `{}`, "Content-Type", "text/plain").fails(http.StatusUnsupportedMediaType, "unsupported_media_type")
	patch("nobody", callback(r.URL)).fails(http.StatusNotFound, "not_found", "nobody")

	c.replay("past", r.URL, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	c.stop("past")
	patch("past", callback(r.URL)).fails(http.StatusBadRequest, "invalid_request", "temporary")
	c.wantActions("shop", "integration_created", "integration_started", "integration_stopped")
}

func registerRefused(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	good := merged(callback(r.URL), object{"id": "shop", "integration_type": "permanent"})
	for _, bad := range []struct {
		change object
		code   string
		words  []string
	}{
		{object{"id": nil}, "invalid_request", []string{"id"}},
		{object{"id": "Shop"}, "invalid_request", []string{"id", "Shop"}},
		{object{"id": fmt.Sprintf("%051d", 1)}, "invalid_request", []string{"id"}},
		{object{"integration_type": "eternal"}, "invalid_request", []string{"integration_type", "eternal"}},
		{object{"status": "running"}, "invalid_request", []string{"status"}},
		{object{"ends_at": "2026-01-01T00:00:00Z"}, "invalid_request", []string{"ends_at"}},
		{object{"end_at": "2026-01-01T00:00:00Z"}, "unknown_field", []string{"end_at"}},
		{object{"starts_at": "yesterday"}, "invalid_request", []string{"starts_at", "yesterday"}},
		{object{"integration_type": "temporary"}, "invalid_request", []string{"starts_at"}},
		{object{"callback_parameters": nil}, "invalid_request", []string{"callback_parameters", "s3_parameters"}},
		{object{"s3_parameters": env.bucketFields("any-bucket", "")}, "invalid_request", []string{"callback_parameters", "s3_parameters"}},
		{callback("http://user:pass@127.0.0.1/"), "invalid_request", []string{"callback_url"}},
		{callback("/relative"), "invalid_request", []string{"callback_url"}},
		{callback("http://169.254.169.254/latest/meta-data"), "invalid_target", []string{"169.254.169.254"}},
		{callback("http://[::ffff:169.254.169.254]/"), "invalid_target", nil},
		{object{"callback_parameters": object{"callback_url": r.URL, "signing_secret": "whsec_short"}}, "invalid_request", []string{"signing_secret"}},
		{object{"filter_conditions": object{"entity_filter": []string{"order.created"}}}, "invalid_request", []string{"entity_filter", "order.created"}},
		{object{"filter_conditions": object{"event_filter": make([]string, 101)}}, "invalid_request", []string{"event_filter", "101"}},
	} {
		c.call("POST", base, merged(good, bad.change)).fails(http.StatusBadRequest, bad.code, bad.words...)
	}
	c.call("POST", base, `{"id":"a","id":"b"}`).fails(http.StatusBadRequest, "invalid_json", "id")
	c.call("POST", base, good, "Content-Type", "application/merge-patch+json").fails(http.StatusUnsupportedMediaType, "unsupported_media_type")
	var list struct{ Integrations []document }
	if c.call("GET", base, nil).ok(200, &list); len(list.Integrations) > 0 {
		t.Errorf("refused registrations left %v", list.Integrations)
	}
	c.register("shop", callback(r.URL))
	c.call("POST", base, good).fails(http.StatusConflict, "already_exists", "shop")
}

func limit(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	most := env.Settings.MaxIntegrations
	answers := make([]*answer, most+1)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			answers[i], _ = c.try("POST", base, merged(callback(r.URL), object{"id": fmt.Sprintf("n-%d", i), "integration_type": "permanent"}))
		})
	}
	wg.Wait()
	taken := ""
	var refused []*answer
	for i, a := range answers {
		switch {
		case a == nil:
			t.Fatal("a registration got no response")
		case a.status == http.StatusOK:
			taken = fmt.Sprintf("n-%d", i)
		default:
			refused = append(refused, a)
		}
	}
	if len(refused) != 1 {
		t.Fatalf("%d of %d registrations at once were refused, want 1", len(refused), len(answers))
	}
	refused[0].fails(http.StatusBadRequest, "limit_reached", fmt.Sprint(most))
	c.call("POST", base, merged(callback(r.URL), object{"id": taken, "integration_type": "permanent"})).fails(http.StatusConflict, "already_exists", taken)
	c.stop(taken) // a stopped one counts too
	c.call("POST", base, merged(callback(r.URL), object{"id": "more", "integration_type": "permanent"})).fails(http.StatusBadRequest, "limit_reached")
	c.call("DELETE", path(taken), nil).empty()
	c.register("more", callback(r.URL))
}

func reborn(t *testing.T, env *Env) {
	c := newTenant(t, env)
	all := c.witness()
	r := newReceiver(c)
	r.status(http.StatusBadRequest)
	c.register("shop", callback(r.URL))
	first := c.publish("order.created", 3)
	env.eventually(t, label("three events are rejected"), func() bool { return len(c.rejected("shop")) == 3 })
	c.call("DELETE", path("shop"), nil).empty()
	all.has(c.publish("order.created", 5))

	again := newReceiver(c)
	c.register("shop", callback(again.URL))
	c.wantActions("shop", "integration_created", "integration_started")
	if ids := c.rejected("shop"); len(ids) > 0 {
		t.Errorf("a new integration has rejected events: %v", ids)
	}
	fresh := c.publish("order.created", 5)
	all.has(fresh)
	again.hasOnly(fresh)
	wantSame(t, first, arrivedIDs(r)) // nothing from after the deletion
}
