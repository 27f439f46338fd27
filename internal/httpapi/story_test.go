package httpapi_test

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/problem"
)

const storyOf = events + "/" + uuidA // a UUIDv7 of 2023

func TestStory(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	w.want(t, 200, post(base, bucket))
	w.want(t, 202, post(events, `{"id":"`+uuidA+`","name":"order.created","payload":{"n":1.0,"<":"&"}}`))
	const at = "?published_at=2026-03-01T12:00:00Z"
	event := `{"id":"` + uuidA + `","tenant":"acme","name":"order.created","published_at":"2026-03-01T12:00:00.000Z","payload":{"n":1.0,"<":"&"}}`
	chapters := func(hook, bucket string) string {
		return `{"event":` + event + `,"integrations":[{"id":"bucket",` + bucket + `,"delivery":null},{"id":"hook",` + hook + `}]}`
	}
	const due = `"verdict":"pending","because":"It goes into the next file; one is begun every 5 minutes."`
	want := chapters(`"verdict":"pending","because":"The integration reads the log from an earlier place on, and has yet to send it.","delivery":null`, due)
	sameJSON(t, want, w.want(t, 200, get(storyOf+at)))
	body := w.want(t, 200, get(events+"/"+strings.ToUpper(uuidA)+at))
	if !strings.HasPrefix(body, `{"event":`+event+`,`) {
		t.Errorf("the event is not as it is delivered: %s", body)
	}
	w.fail(t, "hook", 2)
	want = chapters(`"verdict":"retrying","because":"2 attempts failed, and it is being sent again.","delivery":{"event_id":"`+uuidA+`",`+
		`"event_name":"order.created","published_at":"2026-03-01T12:00:00.000Z","outcome":"retrying","attempts":2,"first_attempt_at":null,"last_attempt_at":null,`+
		`"status_code":null,"cause":null,"took_ms":null,"file":null}`, due)
	sameJSON(t, want, w.want(t, 200, get(storyOf+"?from=2026-03-01T12:00:00Z&to=2026-03-02T12:00:00Z")))
	sameJSON(t, want, w.want(t, 200, get(storyOf+at).of("acme")))

	// Without integrations there is the event.
	w.want(t, 200, remove(base+"/hook"))
	w.want(t, 200, remove(base+"/bucket"))
	sameJSON(t, `{"event":`+event+`,"integrations":[]}`, w.want(t, 200, get(storyOf+at)))
}

func TestStoriesThatAreRefused(t *testing.T) {
	w := setup()
	w.want(t, 202, post(events, `{"id":"`+uuidA+`","name":"order.created","payload":{}}`))
	const at = "?published_at=2026-03-01T12:00:00Z"
	other := events + "/6f1c4f0e-93a5-4b1c-8a5e-2d4b8a3f9c10"
	w.wantError(t, 404, problem.NotFound, "2023-", get(storyOf)) // it is not of the time that it tells
	w.wantError(t, 404, problem.NotFound, "2026-03-01", get(other+at))
	w.wantError(t, 404, problem.NotFound, "UUID", get(events+"/x"+at))
	w.wantError(t, 404, problem.NotFound, uuidA, get(storyOf+at).as("evil"+all))
	w.wantError(t, 404, problem.NotFound, uuidA, get(storyOf+at).of("evil"))
	w.wantError(t, 400, problem.TenantRequired, "", get(storyOf+at).of(""))
	w.wantError(t, 403, problem.Forbidden, "integrations:read", get(storyOf+at).as("acme:events/publish"))
	w.wantError(t, 400, problem.WindowRequired, "published_at", get(other))
	w.wantError(t, 400, problem.WindowRequired, "to", get(other+"?from=2026-03-01T12:00:00Z"))
	w.wantError(t, 400, problem.InvalidRequest, "24 hours", get(other+"?from=2026-03-01T12:00:00Z&to=2026-03-02T12:00:00.001Z"))
	w.wantError(t, 400, problem.InvalidRequest, "published_at is \"\"", get(other+"?published_at="))
	w.wantError(t, 400, problem.InvalidRequest, "from is \"x\"", get(other+"?from=x&to=y"))
	w.wantError(t, 400, problem.InvalidRequest, "published_at", get(other+at+"&to=2026-03-01T12:00:00Z"))
	w.wantError(t, 400, problem.UnknownParameter, "limit", get(other+"?limit=1"))
	w.wantError(t, 400, problem.InvalidRequest, "published_at is given 2 times", get(other+at+"&published_at=2026-03-01T12:00:00Z"))
	w.want(t, 405, call{method: "DELETE", path: storyOf})
}
