package httpapi_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

const delivered = base + "/hook/deliveries"

// deliver publishes two events, and records that one was delivered and one rejected.
func (w *world) deliver(t *testing.T) {
	t.Helper()
	w.want(t, 200, post(base, webhook))
	w.want(t, 202, post(events, `{"events":[{"id":"`+uuidA+`","name":"order.created","payload":{}},{"id":"`+uuidB+`","name":"order.created","payload":{}}]}`))
	in, err := w.store.Integration(t.Context(), "acme", "hook")
	if err != nil {
		t.Fatal(err)
	}
	ms := w.now.UnixMilli()
	part := deliveries.Part{Integration: "hook", Incarnation: in.Incarnation, Results: []deliveries.Result{
		{Place: deliveries.Place{Segment: 1}, Outcome: deliveries.Delivered, Attempts: 3, First: ms, Last: ms + 2000, Took: 41, Status: 204},
		{Place: deliveries.Place{Segment: 1, Index: 1}, Outcome: deliveries.Rejected, Attempts: 1, First: ms + 3000, Last: ms + 3000, Took: 7, Status: 400, Cause: "bad request (HTTP status code 400)"},
	}}
	w.now = w.now.Add(5 * time.Second)
	for _, r := range deliveries.Pack(event.Partition{Tenant: "acme"}, "", w.now, time.Hour, []deliveries.Part{part}) {
		if err := w.store.Commit(t.Context(), store.AddDeliveries{Record: r}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeliveries(t *testing.T) {
	w := setup()
	w.deliver(t)
	const ok = `{"event_id":"` + uuidA + `","event_name":"order.created","published_at":"2026-03-01T12:00:00.000Z","outcome":"delivered","attempts":3,` +
		`"first_attempt_at":"2026-03-01T12:00:00.000Z","last_attempt_at":"2026-03-01T12:00:02.000Z","status_code":204,"cause":null,"took_ms":41,"file":null}`
	const refused = `{"event_id":"` + uuidB + `","event_name":"order.created","published_at":"2026-03-01T12:00:00.000Z","outcome":"rejected","attempts":1,` +
		`"first_attempt_at":"2026-03-01T12:00:03.000Z","last_attempt_at":"2026-03-01T12:00:03.000Z","status_code":400,"cause":"bad request (HTTP status code 400)","took_ms":7,"file":null}`
	for query, want := range map[string]string{
		"":                                    refused + "," + ok,
		"?event_id=" + uuidA:                  ok,
		"?event_id=" + strings.ToUpper(uuidB): refused,
		"?event_id=01890a5d-ac96-774b-bcce-b302099a8059": "",
		"?outcome=delivered":                             ok,
		"?outcome=retrying":                              "",
		"?event_name=order.created&limit=200":            refused + "," + ok,
		"?event_name=order.paid":                         "",
		"?from=2026-03-01T13:00:03%2B01:00":              refused,
		"?to=2026-03-01T12:00:02Z":                       ok,
		"?from=2199-12-31T23:59:59Z":                     "",
		"?to=1970-01-01T00:00:00Z":                       "",
	} {
		sameJSON(t, `{"deliveries":[`+want+`],"next":null}`, w.want(t, 200, get(delivered+query)))
	}
	var first struct {
		Deliveries []json.RawMessage
		Next       *string
	}
	if err := json.Unmarshal([]byte(w.want(t, 200, get(delivered+"?limit=1"))), &first); err != nil || len(first.Deliveries) != 1 || first.Next == nil {
		t.Fatalf("the first page is %+v, %v", first, err)
	}
	sameJSON(t, refused, string(first.Deliveries[0]))
	sameJSON(t, `{"deliveries":[`+ok+`],"next":null}`, w.want(t, 200, get(delivered+"?limit=1&after="+url.QueryEscape(*first.Next))))

	w.log.Trim(w.now.Add(time.Hour))
	gone := strings.NewReplacer(`"`+uuidA+`"`, "null", `"order.created"`, "null", `"published_at":"2026-03-01T12:00:00.000Z"`, `"published_at":null`)
	sameJSON(t, `{"deliveries":[`+gone.Replace(ok)+`],"next":null}`, w.want(t, 200, get(delivered+"?outcome=delivered")))
}

// What is being retried is what the cursor says.
func TestDeliveriesThatAreRetried(t *testing.T) {
	w := setup()
	w.deliver(t)
	k := handoff.Key{Tenant: "acme", Integration: "hook"}
	c, err := w.store.Cursor(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	c.State, c.Offset, c.Ahead, c.FirstTries = handoff.Scheduled, handoff.Offset{}, []int{2, 1}, []int64{w.now.UnixMilli()}
	c.Failures, c.FailingSince, c.Cause, c.TriedAt, c.TookMS = 2, w.now, "no response", w.now.Add(time.Second), 10_000
	if err := w.store.Commit(t.Context(), store.PutCursor{Cursor: c}); err != nil {
		t.Fatal(err)
	}
	const common = `"event_name":"order.created","published_at":"2026-03-01T12:00:00.000Z","outcome":"retrying","status_code":null,"file":null`
	sameJSON(t, `{"deliveries":[{"event_id":"`+uuidA+`",`+common+`,"attempts":2,"first_attempt_at":"2026-03-01T12:00:05.000Z","last_attempt_at":"2026-03-01T12:00:06.000Z","cause":"no response","took_ms":10000},`+
		`{"event_id":"`+uuidB+`",`+common+`,"attempts":1,"first_attempt_at":null,"last_attempt_at":null,"cause":null,"took_ms":null}],"next":null}`,
		w.want(t, 200, get(delivered+"?outcome=retrying")))
}

func TestDeliveriesRefuse(t *testing.T) {
	w := setup()
	w.deliver(t)
	w.want(t, 200, post(base, webhook).as("evil"+all))
	var first struct{ Next string }
	if err := json.Unmarshal([]byte(w.want(t, 200, get(delivered+"?limit=1"))), &first); err != nil {
		t.Fatal(err)
	}
	for query, message := range map[string]string{
		"limit=0": "limit is", "limit=201": "limit is", "limit=": "limit is", "limit=1&limit=2": "limit is given 2 times",
		"event_id=": `event_id is ""`, "event_id=x": `event_id is "x"; it must be a UUID.`, "event_id=" + uuidA + "0": "event_id is",
		"event_name=": "event_name is", "event_name=order": "event_name is", "event_name=Order.created": "event_name is",
		"outcome=": "outcome is", "outcome=failed": `outcome is "failed"; it must be delivered, rejected, skipped or retrying.`,
		"from=": "from is", "from=yesterday": "from is", "to=2026-03-01": "to is", "to=0001-01-01T00:00:00Z": "from 1970", "to=1969-12-31T23:59:59Z": "from 1970", "from=2200-01-01T00:00:00Z": "before 2200", "from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z": "to is 2026-03-01T00:00:00.000Z; it must not be before from",
		"after=": "after is empty", "after=x": "after is not", "after=" + first.Next + "AA": "after is not",
	} {
		w.wantError(t, 400, problem.InvalidRequest, message, get(delivered+"?"+query))
	}
	w.wantError(t, 400, problem.UnknownParameter, `"position"`, get(delivered+"?position=1"))
	w.wantError(t, 404, problem.NotFound, "", get(base+"/unknown/deliveries"))
	w.wantError(t, 404, problem.NotFound, "", get(base+"/other/deliveries").as("evil"+all))
	sameJSON(t, `{"deliveries":[],"next":null}`, w.want(t, 200, get(delivered).as("evil"+all)))
	sameJSON(t, `{"deliveries":[],"next":null}`, w.want(t, 200, get(delivered+"?event_id="+uuidA).as("evil"+all)))
	w.want(t, 200, call{method: "DELETE", path: base + "/hook"})
	w.wantError(t, 404, problem.NotFound, "", get(delivered+"?after="+first.Next))
	w.want(t, 200, post(base, webhook)) // the id again: it has none of the deliveries
	sameJSON(t, `{"deliveries":[],"next":null}`, w.want(t, 200, get(delivered)))
}
