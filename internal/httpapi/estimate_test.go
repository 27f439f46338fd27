package httpapi_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/problem"
)

func TestEstimate(t *testing.T) {
	w := setup()
	const path = base + "/_estimate"
	sameJSON(t, `{"events":0,"bytes":0,"oldest_available":null,"first_at":null,"last_at":null,"exact":true,"seconds":null}`, w.want(t, 200, post(path, webhook)))
	w.want(t, 202, post(events, `{"events":[{"name":"order.created","payload":{}},{"name":"order.paid","payload":{}}]}`))
	past := strings.Replace(webhook, `"id"`, `"starts_at":"2026-03-01T12:00:00.000Z","id"`, 1)
	const at = `"2026-03-01T12:00:00.000Z"`
	want := `{"events":1,"bytes":139,"oldest_available":` + at + `,"first_at":` + at + `,"last_at":` + at + `,"exact":true,"seconds":null}`
	sameJSON(t, want, w.want(t, 200, post(path, past)))
	w.rate = 0.5
	sameJSON(t, strings.Replace(want, `"seconds":null`, `"seconds":2`, 1), w.want(t, 200, post(path, past)))

	// It takes no place, and is refused as a registration is.
	sameJSON(t, `{"integrations":[]}`, w.want(t, 200, get(base)))
	w.want(t, 200, post(base, webhook))
	w.want(t, 200, post(path, past)) // the id is taken, which does not matter
	w.wantError(t, 400, problem.InvalidRequest, "starts_at", post(path, strings.Replace(past, "2026-03-01", "2026-04-01", 1)))
	w.wantError(t, 400, problem.UnknownField, "end_at", post(path, strings.Replace(past, "starts_at", "end_at", 1)))
	w.wantError(t, 400, problem.InvalidRequest, "status cannot be set", post(path, strings.Replace(past, `"id"`, `"status":"running","id"`, 1)))
	w.wantError(t, 400, problem.InvalidJSON, "empty", post(path, ""))
	w.wantError(t, 415, problem.UnsupportedMediaType, "", call{method: "POST", path: path, media: "application/x-ndjson", body: past})
	rec := httptest.NewRecorder() // the document's router takes this path for that of an integration
	if w.api.ServeHTTP(rec, get(path).request()); rec.Code != 405 || rec.Header().Get("Allow") != "OPTIONS, POST" {
		t.Errorf("GET: %d, Allow %q", rec.Code, rec.Header().Get("Allow"))
	}
}
