package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
)

const pulled = base + "/hook/events"

// pullAs makes a pull with an Accept header and checks the response against the contract.
func (w *world) pullAs(t *testing.T, accept, path string) *httptest.ResponseRecorder {
	t.Helper()
	c := get(path)
	r := c.request()
	r.Header.Set("Accept", accept)
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, r)
	contract.check(t, c, rec)
	return rec
}

func TestPull(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	rec := w.do(t, get(pulled))
	sameJSON(t, `{"events":[],"next":"`+rec.Header().Get("Sluice-Next")+`","at_end":true}`, rec.Body.String())
	w.want(t, 202, post(events, `{"events":[{"id":"`+uuidA+`","name":"order.created","payload":{"n":1.0}},{"name":"order.paid","payload":{}},{"id":"`+uuidB+`","name":"order.created","payload":{}}]}`))
	a := `{"id":"` + uuidA + `","tenant":"acme","name":"order.created","published_at":"2026-03-01T12:00:00.000Z","payload":{"n":1.0}}`
	b := `{"id":"` + uuidB + `","tenant":"acme","name":"order.created","published_at":"2026-03-01T12:00:00.000Z","payload":{}}`
	for _, position := range []string{"", "?position=earliest", "?position=2026-03-01T13:00:00%2B01:00", "?position=" + rec.Header().Get("Sluice-Next")} {
		rec := w.do(t, get(pulled+position))
		want := `{"events":[` + a + `,` + b + `],"next":"` + rec.Header().Get("Sluice-Next") + `","at_end":true}`
		if got := rec.Body.String(); got != want || rec.Header().Get("Sluice-At-End") != "true" {
			t.Errorf("%s: %s, want %s", position, got, want)
		}
	}
	first := w.do(t, get(pulled+"?limit=1&wait=20s"))
	next := first.Header().Get("Sluice-Next")
	if want := `{"events":[` + a + `],"next":"` + next + `","at_end":false}`; first.Body.String() != want || first.Header().Get("Sluice-At-End") != "" {
		t.Errorf("%s, want %s", first.Body, want)
	}
	for _, accept := range []string{"application/x-ndjson", "text/html, application/x-ndjson;q=0.9, */*"} {
		lines := w.pullAs(t, accept, pulled)
		if got := lines.Body.String(); got != a+"\n"+b+"\n" || lines.Header().Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("lines: %q", got)
		}
		if rest := w.pullAs(t, accept, pulled+"?position="+next); rest.Body.String() != b+"\n" || rest.Header().Get("Sluice-At-End") != "true" {
			t.Errorf("the rest: %q", rest.Body)
		}
		if none := w.pullAs(t, accept, pulled+"?position=latest"); none.Code != 200 || none.Body.Len() > 0 || none.Header().Get("Sluice-Next") == "" {
			t.Errorf("latest: %d %q", none.Code, none.Body)
		}
	}
	for _, accept := range []string{"", "*/*", "application/json, application/x-ndjson", "nonsense//"} {
		if rec := w.pullAs(t, accept, pulled); !json.Valid(rec.Body.Bytes()) {
			t.Errorf("Accept %q: %s", accept, rec.Body)
		}
	}
	w.log.Damage(event.Partition{Tenant: "acme"}, 1)
	if rec := w.do(t, get(pulled)); rec.Header().Get("Sluice-Lost") != "3" {
		t.Errorf("Sluice-Lost %q, want 3", rec.Header().Get("Sluice-Lost"))
	}
}

func TestPullRefuses(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	w.want(t, 200, post(base, bucket))
	w.want(t, 200, post(base, webhook).as("evil"+all))
	w.want(t, 202, post(events, `{"events":[{"name":"order.created","payload":{}},{"name":"order.created","payload":{}}]}`))
	next := w.do(t, get(pulled+"?limit=1")).Header().Get("Sluice-Next")
	invalid, position := problem.InvalidRequest, problem.InvalidPosition
	for _, tt := range []struct {
		query   string
		code    problem.Code
		message string
	}{
		{"limit=0", invalid, `limit is "0"; it must be a whole number from 1 to 1000`},
		{"limit=1001", invalid, "limit"},
		{"limit=-1", invalid, "limit"},
		{"limit=", invalid, "limit"},
		{"limit=1.5", invalid, "limit"},
		{"limit=%2B5", invalid, "limit"},
		{"limit=99999999999999999999", invalid, "limit"},
		{"limit=1&limit=2", invalid, "limit is given 2 times"},
		{"wait=21", invalid, `wait is "21"; it must be a whole number from 0 to 20`},
		{"wait=-1s", invalid, "wait"},
		{"wait=1m", invalid, "wait"},
		{"wait=s", invalid, "wait"},
		{"position=&position=latest", invalid, "position"},
		{"from=latest", problem.UnknownParameter, `"from" is not known; this call takes position, limit, wait`},
		{"Limit=1", problem.UnknownParameter, `"Limit"`},
		{"position=%zz", invalid, "encode its parameters"},
		{"position=", position, "position is empty; send"},
		{"position=newest", position, `position is "newest"; it must be earliest, latest`},
		{"position=2026-03-01T12:00:00.001Z", position, "in the future"},
		{"position=2026-03-01", position, "RFC 3339"},
		{"position=2026-03-01T13:00:00+01:00", position, "RFC 3339"}, // a plus that is not encoded is a space
		{"position=" + next + "A", position, `not one that integration "hook" has given`},
	} {
		w.wantError(t, 400, tt.code, tt.message, get(pulled+"?"+tt.query))
	}
	w.want(t, 200, get(pulled+"?limit=1&wait=0"))
	w.want(t, 200, get(pulled+"?limit=1000&wait=20&position=earliest"))
	w.wantError(t, 400, position, `"bucket"`, get(base+"/bucket/events?position="+next))
	w.wantError(t, 400, position, "", get(pulled+"?position="+next).as("evil"+all))
	w.wantError(t, 404, problem.NotFound, `"other"`, get(base+"/other/events"))
	w.wantError(t, 410, problem.PositionExpired, "30 days", get(pulled+"?position="+url.QueryEscape(event.FormatTime(w.now.Add(-721*time.Hour)))))
	w.now = w.now.Add(722 * time.Hour)
	w.wantError(t, 410, problem.PositionExpired, "30 days", get(pulled+"?position="+next))
}

func TestPullWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := setup()
		w.want(t, 200, post(base, webhook))
		w.log.OnAppend(func(p event.Partition, _ uint64) { w.waiters.Wake(p.Tenant) })
		answers := make(chan string)
		began := time.Now()
		waiting := func() {
			rec := httptest.NewRecorder()
			w.api.ServeHTTP(rec, get(pulled+"?position=latest&wait=20").request())
			answers <- http.StatusText(rec.Code) + " " + rec.Body.String()
		}
		go waiting()
		time.Sleep(5 * time.Second)
		w.want(t, 202, post(events, `{"id":"`+uuidA+`","name":"order.created","payload":{}}`))
		if got := <-answers; !strings.HasPrefix(got, `OK {"events":[{"id":"`+uuidA) || time.Since(began) != 5*time.Second {
			t.Errorf("after %v: %s", time.Since(began), got)
		}
		go waiting()
		synctest.Wait()
		w.want(t, 200, remove(base+"/hook"))
		w.waiters.Wake("acme") // as a node does for each change
		if got := <-answers; !strings.HasPrefix(got, "Not Found") || time.Since(began) != 5*time.Second {
			t.Errorf("after %v: %s", time.Since(began), got)
		}
	})
}
