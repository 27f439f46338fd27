package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/httpapi"
	"github.com/sluicehq/sluice/internal/problem"
)

const (
	hookShown = `{"id":"hook","status":"running","integration_type":"permanent",
		"callback_parameters":{"callback_url":"https://erp.example.com/hooks","api_key":"********c0de","signing_secret":"********FRYX"},
		"filter_conditions":{"event_filter":["order.created"]}}`
	bucketShown = `{"id":"bucket","status":"running","integration_type":"permanent",
		"s3_parameters":{"aws_access_key_id":"EXAMPLEKEYID","aws_secret_access_key":"********-key","aws_region":"eu-central-1","bucket":"my-events","key_prefix":"a/b"}}`
)

func TestRegisterAndShow(t *testing.T) {
	w := setup()
	sameJSON(t, `{"integrations":[]}`, w.want(t, 200, get(base)))
	sameJSON(t, hookShown, w.want(t, 200, post(base+"/", webhook)))
	sameJSON(t, bucketShown, w.want(t, 200, post(base, bucket)))
	sameJSON(t, hookShown, w.want(t, 200, get(base+"/hook")))
	sameJSON(t, `{"integrations":[`+bucketShown+`,`+hookShown+`]}`, w.want(t, 200, get(base+"/")))
	w.wantError(t, 409, problem.AlreadyExists, `"hook"`, post(base, webhook))
	w.wantError(t, 404, problem.NotFound, `"other"`, get(base+"/other"))
	w.wantError(t, 400, problem.InvalidTarget, "this machine", post(base, strings.ReplaceAll(strings.Replace(webhook, "hook", "h2", 1), "erp.example.com", "localhost")))
	sameJSON(t, `{}`, w.want(t, 200, remove(base+"/hook")))
	w.wantError(t, 404, problem.NotFound, "", get(base+"/hook"))
}

func TestTimesAreShownInUTCWithMilliseconds(t *testing.T) {
	w := setup()
	got := w.want(t, 200, post(base, `{"id":"replay","status":null,"integration_type":"temporary","starts_at":"2026-02-01T01:30:00.1239+01:30","ends_at":"2026-04-01T00:00:00Z",
		"s3_parameters":null,"filter_conditions":{"event_filter":null,"entity_filter":["order","return"]},
		"callback_parameters":{"callback_url":"http://a.example.com","api_key":null}}`))
	sameJSON(t, `{"id":"replay","status":"running","integration_type":"temporary","starts_at":"2026-02-01T00:00:00.123Z","ends_at":"2026-04-01T00:00:00.000Z",
		"filter_conditions":{"entity_filter":["order","return"]},"callback_parameters":{"callback_url":"http://a.example.com"}}`, got)
}

func TestStartAndStop(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	running := w.want(t, 200, get(base+"/hook"))
	sameJSON(t, running, w.want(t, 200, call{method: "POST", path: base + "/hook/_start"}))
	sameJSON(t, strings.Replace(running, "running", "stopped", 1), w.want(t, 200, post(base+"/hook/_stop", "")))
	w.want(t, 200, post(base+"/hook/_stop", `{}`))
	sameJSON(t, running, w.want(t, 200, post(base+"/hook/_start", "")))
	sameJSON(t, `{"entries":[
		{"action":"integration_started","reason":"Started via API.","created_at":"2026-03-01T12:00:00.000Z"},
		{"action":"integration_stopped","reason":"Stopped via API.","created_at":"2026-03-01T12:00:00.000Z"},
		{"action":"integration_started","reason":"Started via API.","created_at":"2026-03-01T12:00:00.000Z"},
		{"action":"integration_created","reason":"Created via API.","created_at":"2026-03-01T12:00:00.000Z"}]}`,
		w.want(t, 200, get(base+"/hook/logs")))
}

func TestUpdate(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	w.wantError(t, 400, problem.NotStopped, "running", patch(base+"/hook", `{}`))
	w.want(t, 200, post(base+"/hook/_stop", ""))
	stopped := strings.Replace(hookShown, "running", "stopped", 1)
	before := w.state(t, "acme")

	// What a GET returns can be sent back, and changes nothing.
	sameJSON(t, stopped, w.want(t, 200, patch(base+"/hook", w.want(t, 200, get(base+"/hook")))))
	for _, status := range []string{"running", "stopping", "stopped"} { // an earlier one, too
		sameJSON(t, stopped, w.want(t, 200, patch(base+"/hook", strings.Replace(hookShown, "running", status, 1))))
	}
	sameJSON(t, stopped, w.want(t, 200, call{method: "PATCH", path: base + "/hook", media: "application/merge-patch+json; charset=UTF-8", body: `{"starts_at":null,"s3_parameters":null}`}))
	if after := w.state(t, "acme"); after != before {
		t.Errorf("changed to %s", after)
	}

	got := w.want(t, 200, patch(base+"/hook", `{"callback_parameters":{"callback_url":"https://new.example.com/?a=<&b","api_key":"`+apiKey+`","signing_secret":null},"filter_conditions":{"entity_filter":["order"],"event_filter":null}}`))
	want := `{"id":"hook","status":"stopped","integration_type":"permanent",
		"callback_parameters":{"callback_url":"https://new.example.com/?a=<&b","api_key":"********c0de"},"filter_conditions":{"entity_filter":["order"]}}`
	sameJSON(t, want, got)
	sameJSON(t, want, w.want(t, 200, get(base+"/hook")))
	w.secret(t, "hook", apiKey)

	w.want(t, 200, patch(base+"/hook", `{"filter_conditions":null,"callback_parameters":{"api_key":"********c0de"}}`))
	w.secret(t, "hook", apiKey)
	w.want(t, 200, patch(base+"/hook", `{"callback_parameters":{"api_key":"another-key-1"}}`))
	w.secret(t, "hook", "another-key-1")
	w.want(t, 200, patch(base+"/hook", `{"callback_parameters":{"api_key":null}}`))
	sameJSON(t, `{"id":"hook","status":"stopped","integration_type":"permanent","callback_parameters":{"callback_url":"https://new.example.com/?a=<&b"}}`,
		w.want(t, 200, get(base+"/hook")))
}

// secret checks which api_key is stored.
func (w *world) secret(t *testing.T, id, want string) {
	t.Helper()
	in, err := w.store.Integration(t.Context(), "acme", id)
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.deps.Integrations.Reveal(t.Context(), in)
	if err != nil || got.APIKey.Reveal() != want {
		t.Errorf("api_key %q, want %q: %v", got.APIKey.Reveal(), want, err)
	}
}

func TestUpdateRefuses(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	w.want(t, 200, post(base, bucket))
	w.want(t, 200, post(base, `{"id":"replay","integration_type":"temporary","starts_at":"2026-02-01T00:00:00Z","ends_at":"2026-04-01T00:00:00Z","callback_parameters":{"callback_url":"http://a.example.com"}}`))
	w.want(t, 200, post(base, `{"id":"since","integration_type":"permanent","starts_at":"2026-02-01T00:00:00Z","callback_parameters":{"callback_url":"http://a.example.com"}}`))
	for _, id := range []string{"hook", "bucket", "replay", "since"} {
		w.want(t, 200, post(base+"/"+id+"/_stop", ""))
	}
	before := w.state(t, "acme")
	const s3 = `{"aws_access_key_id":"A","aws_secret_access_key":"b","aws_region":"eu-1","bucket":"bbb"}`
	tests := []struct {
		id, body string
		code     problem.Code
		message  string
	}{
		{"hook", `{"id":"other"}`, problem.InvalidRequest, "id cannot be changed"},
		{"hook", `{"id":null}`, problem.InvalidRequest, "id cannot be changed"},
		{"hook", `{"integration_type":"temporary"}`, problem.InvalidRequest, "integration_type cannot be changed"},
		{"hook", `{"starts_at":"2026-02-01T00:00:00Z"}`, problem.InvalidRequest, "starts_at cannot be changed"},
		{"since", `{"starts_at":null}`, problem.InvalidRequest, "starts_at cannot be changed"},
		{"hook", `{"ends_at":"2026-02-01T00:00:00Z"}`, problem.InvalidRequest, "ends_at cannot be changed"},
		{"hook", `{"status":"paused"}`, problem.InvalidRequest, "status is read-only"},
		{"hook", `{"status":null}`, problem.InvalidRequest, "status is read-only"},
		{"hook", `{"s3_parameters":` + s3 + `}`, problem.InvalidRequest, "s3_parameters does not apply to a webhook"},
		{"hook", `{"callback_parameters":null,"s3_parameters":` + s3 + `}`, problem.InvalidRequest, "s3_parameters does not apply to a webhook"},
		{"bucket", `{"callback_parameters":{"callback_url":"http://a.example.com"}}`, problem.InvalidRequest, "callback_parameters does not apply to an S3"},
		{"hook", `{"callback_parameters":null}`, problem.InvalidRequest, "callback_parameters cannot be removed"},
		{"hook", `{"callback_parameters":{"callback_url":null}}`, problem.InvalidRequest, "callback_parameters.callback_url"},
		{"bucket", `{"s3_parameters":{"bucket":null}}`, problem.InvalidRequest, "s3_parameters.bucket"},
		{"hook", `{"callback_parameters":{"callback_url":5}}`, problem.InvalidRequest, "callback_parameters.callback_url must be a string, not a number (line 1, column 40)"},
		{"hook", `{"callback_parameters":{"api_key":"********nope"}}`, problem.InvalidRequest, "api_key"},
		{"hook", `{"filter_conditions":{"event_filter":[]}}`, problem.InvalidRequest, "filter_conditions.event_filter is empty"},
		{"hook", `{"filter_conditions":{"event_filter":["a.b",null]}}`, problem.InvalidRequest, "filter_conditions.event_filter[1] must be a string"},
		{"hook", `{"callback_parameters":{"url":null}}`, problem.UnknownField, "callback_parameters.url is not a known field"},
		{"hook", `{"created_at":"x"}`, problem.UnknownField, "created_at is not a known field"},
		{"hook", `null`, problem.InvalidRequest, "must be a JSON object"},
		{"hook", `[]`, problem.InvalidRequest, "must be a JSON object"},
		{"replay", `{}`, problem.InvalidRequest, "temporary"},
		{"since", `{"starts_at":"2026-02-01T00:00:00.001Z"}`, problem.InvalidRequest, "starts_at cannot be changed"},
	}
	for _, tt := range tests {
		t.Run(tt.id+" "+tt.body, func(t *testing.T) {
			w.wantError(t, 400, tt.code, tt.message, patch(base+"/"+tt.id, tt.body))
		})
	}
	w.want(t, 200, patch(base+"/since", `{"starts_at":"2026-02-01T02:00:00+02:00"}`))
	w.wantError(t, 404, problem.NotFound, "", patch(base+"/other", `{}`))
	if after := w.state(t, "acme"); after != before {
		t.Errorf("changed to %s", after)
	}
}

func TestSecretsAreRevealedIfTheSettingsSaySo(t *testing.T) {
	w := setup()
	w.deps.Settings.RevealSecrets = true
	w.api = httpapi.New(w.deps)
	for _, answer := range []string{w.want(t, 200, post(base, webhook)), w.want(t, 200, get(base))} {
		if !strings.Contains(answer, `"`+apiKey+`"`) || !strings.Contains(answer, whsec) {
			t.Error(answer)
		}
	}
	if answer := w.want(t, 200, post(base, bucket)); !strings.Contains(answer, "clear-secret-access-key") {
		t.Error(answer)
	}
	w.want(t, 200, post(base+"/hook/_stop", ""))
	w.want(t, 200, patch(base+"/hook", w.want(t, 200, get(base+"/hook"))))
	w.secret(t, "hook", apiKey)
}

func TestRejectedEvents(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	rejected := base + "/hook/rejected_events"
	sameJSON(t, `{"rejected_events":[]}`, w.want(t, 200, get(rejected)))
	e := w.reject(t, "acme", "hook", uuidA)
	w.now = w.now.Add(time.Second)
	w.reject(t, "acme", "hook", uuidB)
	sameJSON(t, `{"rejected_events":[{"id":"`+uuidB+`","created_at":"2026-03-01T12:00:01.000Z","event_name":"order.created","reason":"rejected","status_code":null},
		{"id":"`+uuidA+`","created_at":"2026-03-01T12:00:00.000Z","event_name":"order.created","reason":"rejected","status_code":null}]}`, w.want(t, 200, get(rejected)))
	if got := w.want(t, 200, get(rejected+"/"+strings.ToUpper(uuidA))); got != string(e.Body) {
		t.Errorf("%s, sent %s", got, e.Body)
	}
	w.retry = problem.New(problem.RetryInProgress, "A retry is in progress.")
	w.wantError(t, 409, problem.RetryInProgress, "in progress", post(rejected+"/"+uuidA+"/_retry", ""))
	w.retry = problem.New(problem.ReceiverFailed, "The receiver failed again.")
	w.wantError(t, 502, problem.ReceiverFailed, "failed again", post(rejected+"/"+uuidA+"/_retry", ""))
	w.retry = nil
	sameJSON(t, `{}`, w.want(t, 200, post(rejected+"/"+uuidA+"/_retry", "")))
	sameJSON(t, `{}`, w.want(t, 200, remove(rejected+"/"+uuidB)))
	sameJSON(t, `{"rejected_events":[]}`, w.want(t, 200, get(rejected)))
	for _, id := range []string{uuidA, "7", "%2e%2e", strings.Repeat("x", 3000)} {
		w.wantError(t, 404, problem.NotFound, "", get(rejected+"/"+id))
		w.wantError(t, 404, problem.NotFound, "", remove(rejected+"/"+id))
		w.wantError(t, 404, problem.NotFound, "", post(rejected+"/"+id+"/_retry", ""))
	}
}

func TestPublish(t *testing.T) {
	w := setup()
	one := `{"id":"` + strings.ToUpper(uuidA) + `","name":"order.created","payload":{"n": 12345678901234567890.10}}`
	sameJSON(t, `{"events":[{"id":"`+uuidA+`"}]}`, w.want(t, 202, post(events, one)))
	sameJSON(t, `{"events":[{"id":"`+uuidA+`"}]}`, w.want(t, 202, post(events, `{"events":[`+one+`]}`)))
	sameJSON(t, `{"events":[{"id":"`+uuidA+`"}]}`, w.want(t, 202, call{method: "POST", path: events, media: "application/x-ndjson", body: one + "\n"}))
	segments, err := w.log.Read(t.Context(), event.Partition{Tenant: "acme"}, 0, 1<<20)
	if err != nil || len(segments) != 3 {
		t.Fatal(segments, err)
	}
	want := `{"id":"` + uuidA + `","tenant":"acme","name":"order.created","published_at":"2026-03-01T12:00:00.000Z","payload":{"n":12345678901234567890.10}}`
	for _, s := range segments {
		if got := string(s.Events[0].Body); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	many := strings.Repeat(`{"name":"a.b","payload":{}}`+"\n", 1001)
	w.wantError(t, 400, problem.LimitReached, "1000", call{method: "POST", path: events, media: "application/x-ndjson", body: many})
	w.wantError(t, 413, problem.PayloadTooLarge, "events[0]", post(events, `{"events":[{"name":"a.b","payload":{"x":"`+strings.Repeat("x", 256<<10)+`"}}]}`))
	w.wantError(t, 413, problem.PayloadTooLarge, fmt.Sprint(5<<20), post(events, strings.Repeat(" ", 5<<20+1)))
}

// TestForeignIDsAreNotFound makes every call with an id for another tenant's.
func TestForeignIDsAreNotFound(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	w.reject(t, "acme", "hook", uuidA)
	before := w.state(t, "acme")
	calls := 0
	for _, line := range httpapi.RoutesForTest(w.deps) {
		method, path, _ := strings.Cut(line, " ")
		path, _, _ = strings.Cut(path, " ")
		if !strings.Contains(path, "{integration_id}") {
			continue
		}
		calls++
		body := "{}"
		if strings.HasSuffix(path, "/_skip") {
			body = `{"event_id":"` + uuidA + `"}`
		}
		if strings.Contains(path, "/rejected_events/_") {
			body = `{"all":true}`
		}
		path = strings.NewReplacer("{integration_id}", "hook", "{event_id}", uuidA).Replace(path)
		w.wantError(t, http.StatusNotFound, problem.NotFound, "", call{method: method, path: path, media: jsonMedia, body: body, token: "evil" + all})
	}
	if calls != 17 {
		t.Errorf("%d calls", calls)
	}
	sameJSON(t, `{"integrations":[]}`, w.want(t, 200, get(base).as("evil"+all)))
	if after := w.state(t, "acme"); after != before {
		t.Errorf("changed to %s", after)
	}
}

func TestMissingRejectedEventIsNamed(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	for _, c := range []call{get(base + "/hook/rejected_events/" + uuidA), remove(base + "/hook/rejected_events/" + uuidA)} {
		w.wantError(t, 404, problem.NotFound, `Integration "hook" has no rejected event "`+uuidA+`"`, c)
	}
}
