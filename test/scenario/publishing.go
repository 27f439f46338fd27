package scenario

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

var publishing = []scenario{
	{"publish in three forms", publishForms},
	{"payloads arrive byte for byte", publishLetters},
	{"a publish call is taken whole or not at all", publishRefused},
	{"an id is taken again in another call", publishTwice},
	{"a call with a key is done once", publishOnce},
	{"of calls with one key at the same time one is done", publishAtOnce},
}

func publishForms(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := c.witness()
	given := uuid.NewString()
	ids := c.send(object{"name": "order.created", "payload": object{"form": "single"}})
	ids = append(ids, c.send(object{"id": strings.ToUpper(given), "name": "order.created", "payload": object{}})...)
	ids = append(ids, c.send(object{"events": []object{
		{"name": "order.created", "payload": object{"form": "list"}},
		{"id": nil, "name": "return.created", "payload": object{}},
	}})...)
	lines := `{"name":"order.created","payload":{"form":"lines"}}` + "\r\n\n" + ` {"name": "order.paid", "payload": {} }`
	ids = append(ids, c.send(lines, "Content-Type", "application/x-ndjson")...)
	if len(ids) != 6 || ids[1] != given {
		t.Fatalf("got the ids %v; the second should be %s", ids, given)
	}
	for _, id := range ids {
		if id != given && uuid.MustParse(id).Version() != 7 {
			t.Errorf("the id %s was made, and is no UUIDv7", id)
		}
	}
	r.hasOnly(ids)
}

func publishLetters(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := c.witness()
	const payload = `{"big":123456789012345678901234567890,"exponent":1e400,"fraction":0.1000000000000000055511151231257827,` +
		`"minus":-0,"trailing":1.10,"z":1,"a":{"b":[]," ":null},"text":"ü \u0000 \" \\ / \/ \ud83d\ude00 😀","<b>":"&","":true}`
	spaced := strings.NewReplacer(`,"z":1,`, ",\n\t\"z\" : 1 ,\r\n").Replace(payload)
	ids := c.send(`{"name":"order.created","payload":` + spaced + `}`)
	ids = append(ids, c.send(`{"name":"order.created","payload":`+payload+`}`+"\n", "Content-Type", "application/x-ndjson")...)
	r.hasOnly(ids)
	for _, id := range ids {
		if diff := cmp.Diff(payload, string(r.find(id).Payload)); diff != "" {
			t.Errorf("the payload (-sent +arrived):\n%s", diff)
		}
	}
}

// publishRefused publishes calls with something wrong in them. What is right in
// them must not arrive either.
func publishRefused(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := c.witness()
	id := uuid.NewString()
	const good = `{"name":"order.created","payload":{}}`
	list := func(second string) string { return `{"events":[` + good + `,` + second + `]}` }
	for _, bad := range []struct {
		name, body, media string
		status            int
		code              string
		words             []string
	}{
		{"not JSON", `{"name":`, "", 400, "invalid_json", nil},
		{"no body", ``, "", 400, "invalid_request", []string{"empty"}},
		{"no event", `{"events":[]}`, "", 400, "invalid_request", []string{"no event"}},
		{"no line", "\n\n", "application/x-ndjson", 400, "invalid_request", []string{"no event"}},
		{"name missing", list(`{"payload":{}}`), "", 400, "invalid_request", []string{"events[1]", "name"}},
		{"name of one word", list(`{"name":"order","payload":{}}`), "", 400, "invalid_request", []string{"events[1]", "name", "order"}},
		{"name too long", list(`{"name":"order.` + strings.Repeat("a", 123) + `","payload":{}}`), "", 400, "invalid_request", []string{"events[1]", "name"}},
		{"payload missing", list(`{"name":"order.created"}`), "", 400, "invalid_request", []string{"events[1]", "payload"}},
		{"payload a list", list(`{"name":"order.created","payload":[]}`), "", 400, "invalid_request", []string{"events[1]", "payload"}},
		{"id not a UUID", list(`{"id":"7","name":"order.created","payload":{}}`), "", 400, "invalid_request", []string{"events[1]", "id"}},
		{"published_at given", list(`{"published_at":"2026-01-01T00:00:00.000Z","name":"order.created","payload":{}}`), "", 400, "invalid_request", []string{"published_at"}},
		{"tenant given", list(`{"tenant":"other","name":"order.created","payload":{}}`), "", 403, "forbidden", []string{"events[1].tenant", "tenants:any"}},
		{"unknown field", list(`{"nme":"order.created","payload":{}}`), "", 400, "unknown_field", []string{"events[1]", "nme"}},
		{"unknown field next to events", `{"events":[` + good + `],"more":1}`, "", 400, "unknown_field", []string{"more"}},
		{"one name twice", list(`{"name":"order.created","name":"order.paid","payload":{}}`), "", 400, "invalid_json", []string{"events[1]"}},
		{"one id twice", fmt.Sprintf(`{"events":[{"id":"%[1]s","name":"a.b","payload":{}},{"id":"%[1]s","name":"a.b","payload":{}}]}`, id), "", 400, "invalid_request", []string{"id", id}},
		{"bad line", good + "\n\n" + `{"name":"order","payload":{}}`, "application/x-ndjson", 400, "invalid_request", []string{"line 3", "name"}},
		{"line not JSON", good + "\n" + `{"name"`, "application/x-ndjson", 400, "invalid_json", []string{"line 2"}},
		// As lines, which a gateway hands on as bytes and not as a text.
		{"not UTF-8", good + "\n{\"name\":\"order.created\",\"payload\":{\"a\":\"\xff\"}}", "application/x-ndjson", 400, "invalid_json", nil},
		{"deep", list(`{"name":"order.created","payload":{"a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}}`), "", 400, "invalid_json", nil},
		{"too many events", `{"events":[` + good + strings.Repeat(","+good, env.Settings.MaxPublishEvents) + `]}`, "", 400, "limit_reached", []string{fmt.Sprint(env.Settings.MaxPublishEvents)}},
		{"event too large", list(`{"name":"order.created","payload":{"a":"` + strings.Repeat("a", int(env.Settings.MaxEventBytes)) + `"}}`), "", 413, "payload_too_large", []string{"events[1]"}},
		{"call too large", list(`{"name":"order.created","payload":{"a":"` + strings.Repeat("a", int(env.Settings.MaxPublishBytes)) + `"}}`), "", 413, "payload_too_large", nil},
		{"wrong media type", good, "text/plain", 415, "unsupported_media_type", []string{"application/json"}},
	} {
		t.Run(bad.name, func(t *testing.T) {
			c := *c
			c.t = t
			media := bad.media
			if media == "" {
				media = "application/json"
			}
			c.call("POST", eventsPath, bad.body, "Content-Type", media).fails(bad.status, bad.code, bad.words...)
		})
	}
	for _, media := range []string{"application/json", "application/x-ndjson"} { // a gateway hands on the one as a text and the other as bytes
		c.call("POST", eventsPath, good, "Content-Type", media, "Content-Encoding", "gzip").
			fails(http.StatusUnsupportedMediaType, "unsupported_media_type", "Content-Encoding")
	}
	c.call("PUT", eventsPath, good).fails(http.StatusMethodNotAllowed, "method_not_allowed")
	r.hasOnly(c.publish("order.created", 1))
}

func publishTwice(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := c.witness()
	id := uuid.NewString()
	event := object{"id": id, "name": "order.created", "payload": object{}}
	c.send(event)
	c.send(event)
	arrivals := r.calls(2)
	if arrivals[0].ID != id || arrivals[1].ID != id {
		t.Errorf("got %s and %s, want %s twice", arrivals[0].ID, arrivals[1].ID, id)
	}
}

func publishOnce(t *testing.T, env *Env) {
	const header = "Idempotency-Key"
	c, other := newTenant(t, env), newTenant(t, env)
	r, seen := c.witness(), other.witness()
	key := uuid.NewString()
	list := object{"events": []object{{"name": "order.created", "payload": object{"n": 1}}, {"name": "order.paid", "payload": object{}}}}
	ids := c.send(list, header, key)
	for range 3 {
		wantSame(t, ids, c.send(list, header, key))
	}
	one := object{"name": "order.created", "payload": object{}}
	c.call("POST", eventsPath, one, header, key).fails(http.StatusUnprocessableEntity, "idempotency_mismatch", header)
	c.call("POST", eventsPath, object{"name": "order", "payload": object{}}, header, "refused").fails(http.StatusBadRequest, "invalid_request", "name")
	ids = append(ids, c.send(one, header, "refused")...) // a refused call leaves no key
	ids = append(ids, c.send(one, header, strings.Repeat("k", 255))...)
	for _, bad := range []string{strings.Repeat("k", 256), "sch\u00f6n"} {
		c.call("POST", eventsPath, one, header, bad).fails(http.StatusBadRequest, "invalid_request", header)
	}
	r.hasOnly(ids)
	if n := len(r.all()); n != len(ids) {
		t.Errorf("%d calls arrived, want one for each of %d events", n, len(ids))
	}
	seen.hasOnly(other.send(one, header, key)) // the key of another tenant

	p := c.with(env.Token("", scopePublish, scopeAny))
	both := object{"events": []object{
		{"tenant": c.name, "name": "order.created", "payload": object{}}, {"tenant": other.name, "name": "order.created", "payload": object{}},
	}}
	platform := uuid.NewString()
	wantSame(t, p.send(both, header, platform), p.send(both, header, platform))
	wantSame(t, ids[:2], p.send(list, header, key, "Sluice-Tenant", c.name)) // keys are of the tenant that the call names
}

// publishAtOnce repeats a large call while it is in progress, as a client does whose response
// does not come.
func publishAtOnce(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := c.witness()
	events := make([]object, 400)
	for i := range events {
		events[i] = object{"name": "order.created", "payload": object{"n": i, "text": strings.Repeat("x", 500)}}
	}
	var ids [][]string
	var mu sync.Mutex
	var calls sync.WaitGroup
	for range 6 {
		calls.Go(func() {
			a, err := c.try("POST", eventsPath, object{"events": events}, "Idempotency-Key", "one")
			switch {
			case err != nil:
				t.Error(err)
			case a.status == http.StatusConflict:
				if a.header.Get("Retry-After") == "" {
					t.Error("a 409 without Retry-After")
				}
				a.fails(http.StatusConflict, "idempotency_in_progress", "Idempotency-Key")
			default:
				mu.Lock()
				defer mu.Unlock()
				ids = append(ids, a.ids())
			}
		})
	}
	calls.Wait()
	ids = append(ids, c.send(object{"events": events}, "Idempotency-Key", "one"))
	for _, other := range ids[1:] {
		wantSame(t, ids[0], other)
	}
	r.hasOnly(ids[0])
	if n := len(r.all()); n != len(events) {
		t.Errorf("%d calls arrived, want one for each of %d events", n, len(events))
	}
}
