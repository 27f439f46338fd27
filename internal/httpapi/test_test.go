package httpapi_test

import (
	"context"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/trial"
)

// tried is a service of tests with the given result. It records the names.
type tried struct {
	w      *world
	result trial.Result
	err    error
	names  []string
}

func (s *tried) Test(ctx context.Context, tenant, id, name string) (trial.Result, error) {
	if _, err := s.w.deps.Integrations.Get(ctx, tenant, id); err != nil {
		return trial.Result{}, err
	}
	s.names = append(s.names, name)
	return s.result, s.err
}

func TestTest(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	const path = base + "/hook/_test"
	for want, result := range map[string]trial.Result{
		`{"outcome":"delivered","status_code":204,"cause":null,"took_ms":12}`:                      {Outcome: sink.Delivered, Status: 204, Took: 12*time.Millisecond + 1},
		`{"outcome":"rejected","status_code":400,"cause":"bad request","took_ms":0}`:               {Outcome: sink.Rejected, Status: 400, Cause: "bad request"},
		`{"outcome":"failed","status_code":null,"cause":"no response within 10s","took_ms":10000}`: {Outcome: sink.Retry, Cause: "no response within 10s", Took: 10 * time.Second},
	} {
		w.tests.result = result
		sameJSON(t, want, w.want(t, 200, post(path, "")))
	}
	w.tests.names = nil
	w.want(t, 200, call{method: "POST", path: path})
	w.want(t, 200, post(path, `{}`))
	w.want(t, 200, post(path, `{"event_name":null}`))
	w.want(t, 200, post(path, ` {"event_name":"order.created"} `))
	if got := w.tests.names; len(got) != 4 || got[0]+got[1]+got[2] != "" || got[3] != "order.created" {
		t.Errorf("names %q", got)
	}
	w.wantError(t, 400, problem.InvalidRequest, "event_name is empty", post(path, `{"event_name":""}`))
	w.wantError(t, 400, problem.InvalidRequest, "event_name must be a string", post(path, `{"event_name":7}`))
	w.wantError(t, 400, problem.UnknownField, "name is not a known field", post(path, `{"name":"order.created"}`))
	w.wantError(t, 400, problem.UnknownParameter, "this call takes none", post(path+"?event_name=a.b", ""))
	w.wantError(t, 415, problem.UnsupportedMediaType, "", call{method: "POST", path: path, media: "text/plain", body: "{}"})
	w.wantError(t, 404, problem.NotFound, `"other"`, post(base+"/other/_test", ""))
	refused := problem.New(problem.TooManyRequests, "Ten times.")
	refused.RetryAfter = 7 * time.Second
	w.tests.err = refused
	if rec := w.do(t, post(path, "")); rec.Code != 429 || rec.Header().Get("Retry-After") != "7" {
		t.Errorf("%d, Retry-After %q", rec.Code, rec.Header().Get("Retry-After"))
	}
}
