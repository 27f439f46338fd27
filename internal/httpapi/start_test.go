package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/problem"
)

func TestStartFrom(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	start := base + "/hook/_start"
	w.wantError(t, 400, problem.NotStopped, `"hook" is running`, post(start, `{"from":"latest"}`))
	w.want(t, 200, post(base+"/hook/_stop", ""))
	w.now = w.now.Add(time.Minute)
	before := w.state(t, "acme")
	for _, refused := range []struct {
		status  int
		code    problem.Code
		message string
		call    call
	}{
		{400, problem.UnknownField, "form is not a known field", post(start, `{"form":"latest"}`)},
		{400, problem.InvalidRequest, `from is "yesterday"`, post(start, `{"from":"yesterday"}`)},
		{400, problem.InvalidRequest, `from is ""`, post(start, `{"from":""}`)},
		{400, problem.InvalidRequest, `from is "Latest"`, post(start, `{"from":"Latest"}`)},
		{400, problem.InvalidRequest, "from", post(start, `{"from":0}`)},
		{400, problem.InvalidRequest, "in the future", post(start, `{"from":"2026-03-01T12:01:00.001Z"}`)},
		{400, problem.InvalidRequest, "from is 2026-01-30T12:00:59.999Z, and the log reaches back to 2026-01-30T12:01:00.000Z only", post(start, `{"from":"2026-01-30T12:00:59.999Z"}`)},
		{400, problem.InvalidJSON, "", post(start, `{`)},
		{400, problem.InvalidJSON, "", post(start, " ")},
		{415, problem.UnsupportedMediaType, "", call{method: "POST", path: start, media: "text/plain", body: `{"from":"latest"}`}},
		{413, problem.PayloadTooLarge, "", post(start, strings.Repeat(" ", 64<<10+1))},
		{404, problem.NotFound, "", post(start, `{"from":"latest"}`).as("beta" + all)},
	} {
		w.wantError(t, refused.status, refused.code, refused.message, refused.call)
	}
	if after := w.state(t, "acme"); after != before {
		t.Errorf("refused, and changed to %s", after)
	}
	for _, body := range []string{`{"from":"latest"}`, `{"from":"2026-03-01T14:00:00+02:00"}`, `{"from":null}`, `{}`, `null`, ``} {
		w.want(t, 200, post(start, body))
		logs := w.want(t, 200, get(base+"/hook/logs"))
		w.want(t, 200, post(base+"/hook/_stop", ""))
		if moved := strings.Count(logs, "position_moved"); moved != 1 && body == `{"from":"latest"}` || moved != 2 && body != `{"from":"latest"}` {
			t.Errorf("%s: %d moves in the log: %s", body, moved, logs)
		}
	}
	// curl -d '' and clients of this API's predecessor.
	w.want(t, 200, call{method: "POST", path: start, media: "application/x-www-form-urlencoded"})
}
