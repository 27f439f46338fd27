package httpapi_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/httpapi"
	"github.com/sluicehq/sluice/internal/problem"
)

// A flood that needs no token is a line a second of each kind, with the number of others.
// What a tenant does is always logged.
func TestAFloodWithoutATokenIsALineASecond(t *testing.T) {
	w := setup()
	w.deps.Ready = func(context.Context) error { return problem.New(problem.Unavailable, "The disk is full.") }
	w.api = httpapi.New(w.deps)
	serve := func(times int, c call) {
		for range times {
			w.api.ServeHTTP(httptest.NewRecorder(), c.request())
		}
	}
	flood := func() {
		serve(100, get("/readyz").as("none"))
		serve(50, get("/healthz").as("none"))
		serve(40, get(base).as("none"))
		serve(30, get(base).as("nonsense"))
		serve(20, get("/nowhere"))
		serve(10, post(base, "").as("acme:events/publish"))
		serve(2, get(base))
	}
	type line struct {
		Status, NotLogged float64
		Route             string
	}
	lines := func() (all []line) {
		for _, fields := range w.logged(t) {
			hidden, _ := fields["not_logged"].(float64)
			all = append(all, line{fields["status"].(float64), hidden, fields["route"].(string)})
		}
		w.lines.Reset()
		return all
	}
	flood()
	want := []line{{503, 0, "/readyz"}, {200, 0, "/healthz"}, {401, 0, base}, {404, 0, ""}, {403, 0, base}, {200, 0, base}, {200, 0, base}}
	if diff := cmp.Diff(want, lines()); diff != "" {
		t.Errorf("at first (-want +got):\n%s", diff)
	}
	w.now = w.now.Add(time.Second - 1)
	flood()
	if diff := cmp.Diff([]line{{200, 0, base}, {200, 0, base}}, lines()); diff != "" {
		t.Errorf("within the second (-want +got):\n%s", diff)
	}
	w.now = w.now.Add(1)
	flood()
	want = []line{{503, 199, "/readyz"}, {200, 99, "/healthz"}, {401, 139, base}, {404, 39, ""}, {403, 19, base}, {200, 0, base}, {200, 0, base}}
	if diff := cmp.Diff(want, lines()); diff != "" {
		t.Errorf("after it (-want +got):\n%s", diff)
	}
	w.now = w.now.Add(-time.Hour) // a clock that is set back silences nothing
	serve(1, get("/healthz"))
	if diff := cmp.Diff([]line{{200, 49, "/healthz"}}, lines()); diff != "" {
		t.Errorf("an hour before (-want +got):\n%s", diff)
	}
}
