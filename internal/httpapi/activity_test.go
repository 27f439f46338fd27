package httpapi_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/httpapi"
	"github.com/sluicehq/sluice/internal/store"
)

// sent saves that an event was delivered to an integration just now, at its third attempt.
func (w *world) sent(t *testing.T, tenant, id string) {
	t.Helper()
	in, err := w.store.Integration(t.Context(), tenant, id)
	if err != nil {
		t.Fatal(err)
	}
	last := w.now.UnixMilli()
	part := deliveries.Part{Integration: id, Incarnation: in.Incarnation, Results: []deliveries.Result{{
		Place: deliveries.Place{Segment: 1}, Outcome: deliveries.Delivered, Attempts: 3, First: last, Last: last, Status: 200,
	}}}
	for _, r := range deliveries.Pack(event.Partition{Tenant: tenant}, "", w.now, time.Hour, []deliveries.Part{part}) {
		if err := w.store.Commit(t.Context(), store.AddDeliveries{Record: r}); err != nil {
			t.Fatal(err)
		}
	}
}

// activity is one without a delivery, but for what its last hour has.
func activity(hour string) string {
	const none = `{"delivered":0,"rejected":0,"failed":0}`
	if hour == "" {
		hour = none
	}
	return `{"since":"2026-02-28T13:00:00.000Z","hours":[` + strings.Repeat(none+",", 23) + hour + `],"complete":true}`
}

const sentOnce = `{"delivered":1,"rejected":0,"failed":2}`

func TestActivity(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	shown := `{"integrations":[` + hookShown[:len(hookShown)-1]
	sameJSON(t, shown+`,"activity":`+activity("")+`}]}`, w.want(t, 200, get(base+"?include=activity").as("acme:integrations/read")))
	w.sent(t, "acme", "hook")
	sameJSON(t, shown+`,"activity":`+activity(sentOnce)+`}]}`, w.want(t, 200, get(base+"?include=activity")))
	for _, both := range []string{"health,activity", "activity,health", "health%2Cactivity"} {
		sameJSON(t, shown+`,"activity":`+activity(sentOnce)+`,"health":`+healthy+`}]}`, w.want(t, 200, get(base+"?include="+both)))
	}
	sameJSON(t, `{"integrations":[]}`, w.want(t, 200, get(base+"?include=activity").as("globex"+all)))
}

// One damaged record keeps nobody's page from being shown, and it is not passed over in silence.
func TestActivityBesideADamagedRecord(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	record := deliveries.Record{Partition: event.Partition{Tenant: "acme"}, At: w.now, First: 1, Last: 1, Data: []byte{0xff}}
	if err := w.store.Commit(t.Context(), store.AddDeliveries{Record: record}); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Minute)
	w.sent(t, "acme", "hook")
	want := strings.NewReplacer("2026-02-28T13:00:00.000Z", "2026-03-01T12:00:00.001Z", `"complete":true`, `"complete":false`).Replace(activity(sentOnce))
	sameJSON(t, `{"integrations":[`+hookShown[:len(hookShown)-1]+`,"activity":`+want+`}]}`, w.want(t, 200, get(base+"?include=activity")))
}

// Counts stay with the tenant, and with the integration that they are of: one that is
// registered again by the same id begins with none.
func TestActivityStaysWithItsIntegration(t *testing.T) {
	w := setup()
	for _, tenant := range []string{"acme", "globex"} {
		w.want(t, 200, post(base, webhook).of(tenant))
	}
	w.sent(t, "acme", "hook")
	shown := `{"integrations":[` + hookShown[:len(hookShown)-1] + `,"activity":`
	list := get(base + "?include=activity")
	sameJSON(t, shown+activity("")+`}]}`, w.want(t, 200, list.of("globex")))
	sameJSON(t, shown+activity(sentOnce)+`}]}`, w.want(t, 200, list.of("acme")))
	w.want(t, 200, remove(base+"/hook"))
	w.want(t, 200, post(base, webhook))
	sameJSON(t, shown+activity("")+`}]}`, w.want(t, 200, list.of("acme")))
	w.want(t, 403, list.as("acme:events/publish"))
}

func TestActivityIsNullWithoutDeliveryRecords(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	w.deps.Deliveries.(*deliveries.Service).Keep = 0
	w.api = httpapi.New(w.deps)
	sameJSON(t, `{"integrations":[`+hookShown[:len(hookShown)-1]+`,"activity":null}]}`, w.want(t, 200, get(base+"?include=activity")))
	var listed struct{ Integrations []map[string]json.RawMessage }
	if err := json.Unmarshal([]byte(w.want(t, 200, get(base))), &listed); err != nil || listed.Integrations[0]["activity"] != nil {
		t.Errorf("not asked for, and there: %v, %v", listed, err)
	}
}
