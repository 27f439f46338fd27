package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestReceivers plays what a receiver meets against each of examples/receivers: calls of
// the real binary, which the public library of the receiver's language verifies, and
// calls of others.
func TestReceivers(t *testing.T) {
	t.Parallel()
	n := newNode(t, plain, map[string]string{"SLUICE_RETRY_MIN": "50ms", "SLUICE_RETRY_MAX": "500ms"}, "--dev")
	for _, e := range exampleReceivers {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			p := newProgram(t, e)
			r := &reception{t: t, client: newClient(n, e.name), program: p, wire: newWire(t, p), secret: newSecret()}
			p.start(r.secret)
			r.client.register(t, "shop", fmt.Sprintf(`"callback_parameters":{"callback_url":%q,"api_key":"key-of-the-receiver","signing_secret":%q}`, r.wire.url, r.secret))
			r.isTried()
			r.takesWhatever()
			r.refusesForGood()
			r.waitsForItsInbox()
			r.takesOnce()
			r.refusesForgeries()
			r.rotates()
			r.isSentAllAgain()
			wantDocumented(t, r.wire.all())
		})
	}
}

// reception is an integration "shop", and its receiver.
type reception struct {
	t       *testing.T
	client  *client
	program *program
	wire    *wire
	secret  string
	ids     []string // of the events that the receiver must have stored
}

func newSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return "whsec_" + base64.StdEncoding.EncodeToString(key)
}

// call makes a call of the API that must succeed.
func (r *reception) call(method, path, body string, into any) {
	r.t.Helper()
	a := r.client.call(r.t, method, path, body)
	if a.status > 299 {
		r.t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		r.t.Fatal(err)
	}
}

func (r *reception) emit(payload string) string {
	r.t.Helper()
	var list struct{ Events []struct{ ID string } }
	r.call("POST", "/api/v1/org/events", `{"name":"order.created","payload":`+payload+`}`, &list)
	return list.Events[0].ID
}

// stores publishes an event, and waits until the receiver has stored it.
func (r *reception) stores(payload string) string {
	r.t.Helper()
	id := r.emit(payload)
	r.ids = append(r.ids, id)
	until(r.t, "the receiver stores "+id, func() bool { return count(r.program.said("stored"), id) > 0 })
	return id
}

// isTried sends a test event, which is not stored.
func (r *reception) isTried() {
	r.t.Helper()
	var result struct{ Outcome string }
	r.call("POST", eventstream+"/shop/_test", "", &result)
	if said := r.program.text(); result.Outcome != "delivered" || !strings.Contains(said, "test\n") || strings.Contains(said, "stored") {
		r.t.Errorf("a test event was %s; the receiver says %s", result.Outcome, said)
	}
}

// takesWhatever delivers payloads that are easily changed on their way.
func (r *reception) takesWhatever() {
	r.t.Helper()
	for _, payload := range []string{
		`{"order_id":"o-1"}`,
		`{"order_id":"Grüße aus 東京 🚚","ключ":"naïve"}`,
		` { "order_id" : "\u0047\u00fc\/\ud83d\ude9a" , "a" : [ ] , "z":1.0,"y":1e2 } `,
		`{"order_id":"\u0000\u2028\u007f\u0085","n":12345678901234567890123.456789e-5}`,
		`{"order_id":"large","fill":"` + strings.Repeat("é", 100_000) + `"}`,
	} {
		id := r.stores(payload)
		if n := len(r.wire.of(id, http.StatusUnauthorized)); n > 0 {
			r.t.Errorf("%.60s: the signature was wrong, %d times", payload, n)
		}
	}
}

// refusesForGood publishes an event that the receiver can never take. It is rejected, and
// the stream goes on.
func (r *reception) refusesForGood() {
	r.t.Helper()
	id := r.emit(`{"order_id":7}`)
	r.stores(`{"order_id":"after it"}`)
	var rejected struct {
		Events []struct{ ID string } `json:"rejected_events"`
	}
	until(r.t, "an event is rejected", func() bool {
		r.call("GET", eventstream+"/shop/rejected_events", "", &rejected)
		return len(rejected.Events) > 0
	})
	if rejected.Events[0].ID != id || len(r.wire.of(id, http.StatusNoContent)) > 0 || count(r.program.said("stored"), id) > 0 {
		r.t.Errorf("rejected is %v, want %s, which is not stored", rejected.Events, id)
	}
}

// waitsForItsInbox takes the receiver's inbox away, and gives it back: the event waits.
func (r *reception) waitsForItsInbox() {
	r.t.Helper()
	move := func(from, to string) {
		r.t.Helper()
		if err := os.Rename(from, to); err != nil {
			r.t.Fatal(err)
		}
	}
	away := r.program.inbox + ".away"
	move(r.program.inbox, away)
	id := r.emit(`{"order_id":"without an inbox"}`)
	until(r.t, "the receiver returns 503", func() bool { return len(r.wire.of(id, http.StatusServiceUnavailable)) > 0 })
	move(away, r.program.inbox)
	r.ids = append(r.ids, id)
	r.accepted(id)
}

// accepted is a call with an event that the receiver accepted.
func (r *reception) accepted(id string) wireCall {
	r.t.Helper()
	until(r.t, "the receiver accepts "+id, func() bool { return len(r.wire.of(id, http.StatusNoContent)) > 0 })
	return r.wire.of(id, http.StatusNoContent)[0]
}

// want makes a call beside the node.
func (r *reception) want(status int, what string, header http.Header, body []byte) {
	r.t.Helper()
	got, err := send(r.t.Context(), r.program.url, header, body)
	if err != nil || got != status {
		r.t.Errorf("%s: %d, %v; want %d", what, got, err, status)
	}
}

// stopped makes a change while the integration is stopped, and starts it.
func (r *reception) stopped(change func(), start string) {
	r.t.Helper()
	r.call("POST", eventstream+"/shop/_stop", "", nil)
	until(r.t, "the integration is stopped", func() bool { return r.client.status(r.t, "shop") == "stopped" })
	change()
	r.call("POST", eventstream+"/shop/_start", start, nil)
}

// rotates changes the secret: first at the service, then at the receiver. A receiver with
// neither secret holds up its stream, and gets all once it has the right one.
func (r *reception) rotates() {
	r.t.Helper()
	next := newSecret()
	r.stopped(func() {
		r.call("PATCH", eventstream+"/shop", fmt.Sprintf(`{"callback_parameters":{"signing_secret":%q}}`, next), nil)
	}, "")
	id := r.stores(`{"order_id":"with the old secret"}`)
	if signatures := strings.Fields(r.accepted(id).header.Get("Webhook-Signature")); len(signatures) != 2 {
		r.t.Errorf("the signatures are %q, want two", signatures)
	}
	r.wire.replace(next)
	r.stores(`{"order_id":"with the new secret"}`)

	r.wire.replace(newSecret())
	id = r.emit(`{"order_id":"with a wrong secret"}`)
	r.ids = append(r.ids, id)
	var health struct {
		Failing *struct {
			Event  string `json:"event_id"`
			Status int    `json:"status_code"`
		}
	}
	until(r.t, "the integration fails", func() bool {
		r.call("GET", eventstream+"/shop/health", "", &health)
		return health.Failing != nil
	})
	if health.Failing.Event != id || health.Failing.Status != http.StatusUnauthorized {
		r.t.Errorf("the integration waits for %+v, want %s, after a 401", *health.Failing, id)
	}
	r.wire.replace(next)
	until(r.t, "the event of before is stored", func() bool { return count(r.program.said("stored"), id) > 0 })
}

// isSentAllAgain starts the integration from its first event. The receiver, which was
// restarted since, has them all.
func (r *reception) isSentAllAgain() {
	r.t.Helper()
	var first struct {
		PublishedAt string `json:"published_at"`
	}
	if err := json.Unmarshal(r.accepted(r.ids[0]).body, &first); err != nil {
		r.t.Fatal(err)
	}
	before := map[string]int{}
	for _, id := range r.ids {
		before[id] = len(r.wire.of(id, http.StatusNoContent))
	}
	r.stopped(func() {}, fmt.Sprintf(`{"from":%q}`, first.PublishedAt))
	for _, id := range r.ids {
		until(r.t, "event "+id+" comes again", func() bool { return len(r.wire.of(id, http.StatusNoContent)) > before[id] })
		if n := count(r.program.said("stored"), id); n != 1 {
			r.t.Errorf("event %s was stored %d times", id, n)
		}
	}
}
