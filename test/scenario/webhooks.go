package scenario

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var webhooks = []scenario{
	{"a webhook call", webhookCall},
	{"a webhook call without secrets", webhookBare},
	{"filters have two sides", filters},
	{"a new signing secret, and the one before", rotation},
	{"past events are caught up", startsInThePast},
	{"the first event is not late", firstEvent},
}

var userAgent = regexp.MustCompile(`^Sluice/\S+$`)

func webhookCall(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	apiKey := env.secret("key-", 40)
	signing, key := env.signingSecret()
	token := env.secret("token-", 30)
	c.register("shop", object{"callback_parameters": object{
		"callback_url": r.URL + "/hook?token=" + token, "api_key": apiKey, "signing_secret": signing,
	}})
	before := time.Now()
	ids := c.send(object{"name": "order.items_cancelled", "payload": object{"order_id": "o-1"}})
	a := r.calls(1)[0]
	want := map[string]string{
		"Authorization":     "Bearer " + apiKey,
		"Content-Type":      "application/json",
		"Webhook-Id":        ids[0],
		"Webhook-Signature": sign(key, a),
		"Sluice-Attempt":    "1",
	}
	got := map[string]string{}
	for name := range want {
		got[name] = strings.Join(a.header.Values(name), " and ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if agent := a.header.Get("User-Agent"); !userAgent.MatchString(agent) {
		t.Errorf("User-Agent is %q", agent)
	}
	seconds, err := strconv.ParseInt(a.header.Get("Webhook-Timestamp"), 10, 64)
	if at := time.Unix(seconds, 0); err != nil || at.Before(before.Add(-time.Minute)) || at.After(time.Now().Add(time.Minute)) {
		t.Errorf("webhook-timestamp is %q", a.header.Get("Webhook-Timestamp"))
	}
	if a.path != "/hook?token="+token {
		t.Errorf("called %s", a.path)
	}
	wantEvent := event{ID: ids[0], Tenant: c.name, Name: "order.items_cancelled", PublishedAt: a.PublishedAt, Payload: []byte(`{"order_id":"o-1"}`)}
	if diff := cmp.Diff(wantEvent, a.event); diff != "" {
		t.Errorf("the event (-want +got):\n%s", diff)
	}
	if at := a.event.at(t); at.Before(before.Add(-time.Minute)) || at.After(time.Now().Add(time.Minute)) {
		t.Errorf("published_at is %v", at)
	}

	// The log says where a call went that failed, and no secret.
	r.status(http.StatusServiceUnavailable)
	c.publish("order.created", 1)
	env.eventually(t, label("a retry is in the log"), func() bool { return len(c.reasons("shop", "retry_triggered")) > 0 })
	r.status(http.StatusOK)
	for _, reason := range c.reasons("shop", "retry_triggered") {
		if !strings.Contains(reason, r.URL+"/… failed") || strings.Contains(reason, token) || strings.Contains(reason, apiKey) || strings.Contains(reason, signing) {
			t.Errorf("the log says %q", reason)
		}
	}
}

func webhookBare(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := c.witness()
	c.publish("order.created", 1)
	for _, name := range []string{"Authorization", "Webhook-Signature", "Content-Encoding", "Idempotency-Key"} {
		if values := r.calls(1)[0].header.Values(name); len(values) > 0 {
			t.Errorf("%s is sent: %q", name, values)
		}
	}
}

func filters(t *testing.T, env *Env) {
	c := newTenant(t, env)
	all := c.witness()
	either, names, entities := newReceiver(c), newReceiver(c), newReceiver(c)
	filtered := func(r *receiver, conditions object) object {
		return merged(callback(r.URL), object{"filter_conditions": conditions})
	}
	c.register("either", filtered(either, object{"event_filter": []string{"order.created", "refund_request.approved"}, "entity_filter": []string{"return"}}))
	c.register("names", filtered(names, object{"event_filter": []string{"order.created"}, "entity_filter": nil}))
	c.register("entities", filtered(entities, object{"entity_filter": []string{"order", "return"}}))
	ids := map[string][]string{}
	var every []string
	for range 3 {
		for _, name := range []string{
			"order.created", "order.created.again", "order.paid", "orders.created",
			"return.created", "return.created.twice", "refund_request.approved", "refund_request.declined",
		} {
			ids[name] = append(ids[name], c.publish(name, 2)...)
			every = append(every, ids[name][len(ids[name])-2:]...)
		}
	}
	of := func(names ...string) []string {
		var list []string
		for _, name := range names {
			list = append(list, ids[name]...)
		}
		return list
	}
	all.hasOnly(every)
	either.hasOnly(of("order.created", "refund_request.approved", "return.created", "return.created.twice"))
	names.hasOnly(of("order.created"))
	entities.hasOnly(of("order.created", "order.created.again", "order.paid", "return.created", "return.created.twice"))
}

// rotation changes a signing secret twice. Both the new one and the one before
// sign; the one before that does not any more.
func rotation(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	var keys [][]byte
	change := func(fields object) {
		c.stop("shop")
		c.call("PATCH", path("shop"), object{"callback_parameters": fields}).ok(200)
		c.start("shop")
	}
	next := func() string {
		clear, key := env.signingSecret()
		keys = append([][]byte{key}, keys...)
		return clear
	}
	c.register("shop", object{"callback_parameters": object{"callback_url": r.URL, "signing_secret": next()}})
	check := func(signers int) {
		t.Helper()
		ids := c.publish("order.created", 1)
		r.has(ids)
		a := r.find(ids[0])
		var want []string
		for _, key := range keys[:signers] {
			want = append(want, sign(key, a))
		}
		if diff := cmp.Diff(strings.Join(want, " "), a.header.Get("Webhook-Signature")); diff != "" {
			t.Errorf("signatures, newest first (-want +got):\n%s", diff)
		}
	}
	check(1)
	change(object{"signing_secret": next()})
	check(2)
	change(object{"api_key": env.secret("key-", 40)}) // another change leaves them
	check(2)
	change(object{"signing_secret": next()})
	check(2)
	change(object{"signing_secret": nil})
	check(0)
}

// startsInThePast registers an integration with starts_at: it gets what was
// published from then on, and then what is new.
func startsInThePast(t *testing.T, env *Env) {
	c := newTenant(t, env)
	all := c.witness()
	early := c.publish("order.created", 20)
	all.has(early)
	env.past(t, all.find(early[19]).event.at(t))
	late := c.publish("order.created", 1)
	all.has(late)
	startsAt := all.find(late[0]).PublishedAt
	late = append(late, c.publish("order.created", 700)...)

	r := newReceiver(c)
	d := object{}
	c.call("POST", base, merged(callback(r.URL), object{"id": "late", "integration_type": "permanent", "starts_at": startsAt})).ok(200, &d)
	if d["starts_at"] != startsAt {
		t.Errorf("starts_at is %v, want %s", d["starts_at"], startsAt)
	}
	r.has(late)
	late = append(late, c.publish("order.created", 5)...)
	r.hasOnly(late)
	all.hasOnly(slices.Concat(early, late))

	tomorrow := time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	c.call("POST", base, merged(callback(r.URL), object{"id": "future", "integration_type": "permanent", "starts_at": tomorrow})).
		fails(http.StatusBadRequest, "invalid_request", "starts_at")
}

// firstEvent publishes right after a registration, while the integration is on
// its way from its own cursor to the live stream. That costs hardly more time
// than the next event does. (Half a budget is after what the live loop looks
// anew by itself.)
func firstEvent(t *testing.T, env *Env) {
	const rounds = 12
	var first, second time.Duration
	for range rounds {
		c := newTenant(t, env)
		r := c.witness()
		for _, sum := range []*time.Duration{&first, &second} {
			started := time.Now()
			r.has(c.publish("order.created", 1))
			*sum += time.Since(started) / rounds
		}
	}
	if most := 2*second + env.Settings.FollowBudget/8; first > most {
		t.Errorf("the first event took %v on average, and the second one %v", first, second)
	}
}
