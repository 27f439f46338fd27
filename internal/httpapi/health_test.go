package httpapi_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

const healthy = `{"state":"healthy","reason":null,"delivered_through":null,"behind":{"events":0,"bytes":0,"oldest_published_at":null},
	"failing":null,"restart_by":null,"last_delivered_at":null,"progress":null}`

func TestHealth(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	sameJSON(t, healthy, w.want(t, 200, get(base+"/hook/health").as("acme:integrations/read")))
	w.want(t, 202, post(events, `{"id":"`+uuidA+`","name":"order.created","payload":{}}`))
	w.now = w.now.Add(10 * time.Minute)
	w.fails(t, "hook")
	got := w.want(t, 200, get(base+"/hook/health"))
	sameJSON(t, `{"state":"failing","reason":null,"delivered_through":"2026-03-01T11:59:59.999Z",
		"behind":{"events":1,"bytes":139,"oldest_published_at":"2026-03-01T12:00:00.000Z"},
		"failing":{"since":"2026-03-01T12:05:00.000Z","attempts":3,"next_attempt_at":"2026-03-01T12:11:00.000Z","event_id":"`+uuidA+`","event_name":"order.created",
			"status_code":503,"cause":"service unavailable (HTTP status code 503)","stops_at":"2026-03-04T12:05:00.000Z"},
		"restart_by":null,"last_delivered_at":null,"progress":null}`, got)
	listed := w.want(t, 200, get(base+"?include=health"))
	sameJSON(t, `{"integrations":[`+hookShown[:len(hookShown)-1]+`,"health":`+got+`}]}`, listed)
	sameJSON(t, `{"integrations":[`+hookShown+`]}`, w.want(t, 200, get(base)))
	w.want(t, 200, post(base+"/hook/_stop", ""))
	sameJSON(t, `{"state":"stopped","reason":"stopped_by_api","delivered_through":"2026-03-01T11:59:59.999Z",
		"behind":{"events":1,"bytes":139,"oldest_published_at":"2026-03-01T12:00:00.000Z"},
		"failing":null,"restart_by":"2026-03-31T12:10:00.000Z","last_delivered_at":null,"progress":null}`, w.want(t, 200, get(base+"/hook/health")))
}

// What waited at the stop leaves the log before what came later, and restart_by says so. It
// does not move when some of it is gone.
func TestRestartByIsWhenWhatWaitsLeavesTheLog(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	w.want(t, 202, post(events, `{"id":"`+uuidA+`","name":"order.created","payload":{}}`))
	restartBy := func(want string) {
		t.Helper()
		if got := w.want(t, 200, get(base+"/hook/health")); !strings.Contains(got, `"restart_by":`+want+`,`) {
			t.Errorf("want restart_by %s in %s", want, got)
		}
	}
	w.now = w.now.Add(20 * 24 * time.Hour)
	w.want(t, 202, post(events, `{"id":"`+uuidB+`","name":"order.created","payload":{}}`))
	restartBy("null")
	w.want(t, 200, post(base+"/hook/_stop", ""))
	restartBy(`"2026-04-03T13:00:00.000Z"`) // 33 days and an hour after it was published, as the log keeps it
	w.log.Trim(w.now)
	restartBy(`"2026-04-03T13:00:00.000Z"`)
	w.want(t, 200, post(base+"/hook/_start", ""))
	restartBy("null")
	w.want(t, 200, post(base+"/hook/_stop", ""))
	restartBy(`"2026-04-20T12:00:00.000Z"`) // only the second one waits now
}

func TestHealthOfAReplay(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, `{"id":"replay","integration_type":"temporary","starts_at":"2026-03-01T11:00:00Z","ends_at":"2026-03-01T13:00:00Z","callback_parameters":{"callback_url":"http://a.example.com"}}`))
	sameJSON(t, strings.Replace(healthy, `"progress":null`, `"progress":{"fraction":0.5,"read":0,"filtered":0,"delivered":0,"rejected":0,"skipped":0}`, 1),
		w.want(t, 200, get(base+"/replay/health")))
}

func TestHealthRefuses(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	w.wantError(t, 404, problem.NotFound, `"other"`, get(base+"/other/health"))
	w.wantError(t, 404, problem.NotFound, `"hook"`, get(base+"/hook/health").as("evil"+all))
	w.wantError(t, 403, problem.Forbidden, "integrations:read", get(base+"/hook/health").as("acme:events/publish"))
	w.wantError(t, 400, problem.UnknownParameter, `"include"`, get(base+"/hook/health?include=health"))
	w.wantError(t, 400, problem.UnknownParameter, "takes include", get(base+"?includes=health"))
	for _, value := range []string{"", "Health", "health,logs", "%20health", "nonsense", "health,", ",activity", "health,health", "activity;health", "health,activity,health"} {
		w.wantError(t, 400, problem.InvalidRequest, "include is "+strconv.Quote(strings.ReplaceAll(value, "%20", " ")), get(base+"?include="+url.QueryEscape(strings.ReplaceAll(value, "%20", " "))))
	}
	w.wantError(t, 400, problem.UnknownParameter, `"force"`, remove(base+"/hook?force=1"))
	w.want(t, 200, get(base+"/hook"))
	w.want(t, 200, get("/healthz?from=a-load-balancer"))
}

// fails makes an integration one whose receiver has failed three times.
func (w *world) fails(t *testing.T, id string) {
	t.Helper()
	c, err := w.store.Cursor(t.Context(), handoff.Key{Tenant: "acme", Integration: id})
	if err != nil {
		t.Fatal(err)
	}
	c.Failures, c.FailingSince, c.Cause, c.Status = 3, w.now.Add(-5*time.Minute), "service unavailable (HTTP status code 503)", 503
	c.DueAt, c.Ahead = w.now.Add(time.Minute), []int{3}
	if err := w.store.Commit(t.Context(), store.PutCursor{Cursor: c}); err != nil {
		t.Fatal(err)
	}
}
