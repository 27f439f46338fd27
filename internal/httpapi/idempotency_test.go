package httpapi_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/httpapi"
	"github.com/sluicehq/sluice/internal/idempotency"
	"github.com/sluicehq/sluice/internal/problem"
)

func TestACallWithAKeyIsDoneOnce(t *testing.T) {
	w := setup()
	const body, other = `{"events":[{"name":"a.b","payload":{"n": 1}},{"name":"a.b","payload":{}}]}`, `{"name":"a.b","payload":{}}`
	first := w.want(t, 202, post(events, body).once("k"))
	if again := w.want(t, 202, post(events, body).once("k")); again != first {
		t.Errorf("the repeat is answered %s, the first %s", again, first)
	}
	w.wantError(t, 422, problem.IdempotencyMismatch, "another body", post(events, other).once("k"))
	w.wantError(t, 422, problem.IdempotencyMismatch, "another body", post(events, body+" ").once("k"))
	if n := w.endOf(t, "acme"); n != 1 {
		t.Errorf("%d calls are in the log, want 1", n)
	}
	if another := w.want(t, 202, post(events, body).once("another")); another == first {
		t.Error("another key is answered as the first")
	}
	w.want(t, 202, post(events, other).once("k").as("globex"+all)) // its own key
	w.want(t, 202, post(events, `{"tenant":"globex","name":"a.b","payload":{}}`).once("k").of(""))
	w.wantError(t, 422, problem.IdempotencyMismatch, "another body", post(events, other+"\n").once("k").of("globex"))
}

// A call that was refused has published nothing: the corrected one may have its key.
func TestARefusedCallDoesNotUseUpItsKey(t *testing.T) {
	w := setup()
	w.wantError(t, 400, problem.InvalidRequest, "name", post(events, `{"name":"a","payload":{}}`).once("k"))
	w.want(t, 202, post(events, `{"name":"a.b","payload":{}}`).once("k"))
}

func TestKeysOfEveryLengthAndLetter(t *testing.T) {
	w := setup()
	const body = `{"name":"a.b","payload":{}}`
	for _, key := range []string{"k", "a b", "!~", strings.Repeat("k", 255)} {
		w.want(t, 202, post(events, body).once(key))
	}
	for key, why := range map[string]string{
		strings.Repeat("k", 256): "256 characters", "sch\u00f6n": "position 4", "a\tb": "position 2",
	} {
		w.wantError(t, 400, problem.InvalidRequest, why, post(events, body).once(key))
	}
	for _, values := range [][]string{{""}, {"a", "b"}} {
		r := post(events, body).request()
		r.Header["Idempotency-Key"] = values
		rec := httptest.NewRecorder()
		w.api.ServeHTTP(rec, r)
		if rec.Code != 400 || !strings.Contains(rec.Body.String(), "Idempotency-Key") {
			t.Errorf("%q: %d %s", values, rec.Code, rec.Body)
		}
	}
}

func TestACallInProgressIsA409WithRetryAfter(t *testing.T) {
	w := setup()
	w.deps.Publisher = refusing{idempotency.InProgress(1500 * time.Millisecond)}
	w.api = httpapi.New(w.deps)
	rec := w.do(t, post(events, `{"name":"a.b","payload":{}}`).once("k"))
	if rec.Code != 409 || rec.Header().Get("Retry-After") != "2" || !strings.Contains(rec.Body.String(), "idempotency_in_progress") {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
}
