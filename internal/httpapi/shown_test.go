package httpapi_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/estimate"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/health"
	"github.com/sluicehq/sluice/internal/httpapi"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/rejected"
)

// found is services that have found what it says, or fail.
type found struct {
	httpapi.Rejected

	health   *health.Health
	estimate estimate.Estimate
	bulk     rejected.Bulk
	refs     []integration.RejectedRef
	err      error
}

func (f *found) Of(_ context.Context, all ...*integration.Integration) ([]*health.Health, error) {
	list := make([]*health.Health, len(all))
	for i := range list {
		list[i] = f.health
	}
	return list, f.err
}

func (f *found) Estimate(context.Context, string, integration.Spec) (*estimate.Estimate, error) {
	return &f.estimate, f.err
}

func (f *found) RetryAll(context.Context, string, string, []string) (rejected.Bulk, error) {
	return f.bulk, f.err
}

func (f *found) DeleteAll(context.Context, string, string, []string) (rejected.Bulk, error) {
	return f.bulk, f.err
}

func (f *found) List(_ context.Context, _, _ string, after integration.RejectedRef, limit int) ([]integration.RejectedRef, error) {
	rest := f.refs[slices.IndexFunc(f.refs, func(ref integration.RejectedRef) bool { return ref.EventID == after.EventID })+1:]
	if limit == 0 {
		return rest, f.err
	}
	return rest[:min(limit, len(rest))], f.err
}

// finding is a world with an integration, hook, whose services have found what f says.
func finding(t *testing.T, f *found) *world {
	t.Helper()
	w := setup()
	w.want(t, 200, post(base, webhook))
	w.deps.Health, w.deps.Estimates, w.deps.Rejected = f, f, f
	w.api = httpapi.New(w.deps)
	return w
}

// at is a time of the given minute.
func at(minute int) time.Time { return time.Date(2026, 3, 1, 12, minute, 0, 0, time.UTC) }

// Every field is in its own place.
func TestHealthShowsEachField(t *testing.T) {
	w := finding(t, &found{health: &health.Health{
		State: health.Failing, Reason: integration.StoppedAfterFailing, DeliveredThrough: at(1),
		Behind:    health.Behind{Events: 2, Bytes: 3, Oldest: at(4)},
		Failing:   &health.Outage{Since: at(5), Attempts: 6, NextAttemptAt: at(7), EventID: uuidA, EventName: "a.b", Cause: "no route", StopsAt: at(8)},
		RestartBy: at(9), LastDeliveredAt: at(10),
		Progress: &health.Progress{Fraction: 0.25, Tally: handoff.Tally{Filtered: 11, Delivered: 12, Rejected: 13, Skipped: 14}},
	}})
	sameJSON(t, `{"state":"failing","reason":"stopped_after_failing","delivered_through":"2026-03-01T12:01:00.000Z",
		"behind":{"events":2,"bytes":3,"oldest_published_at":"2026-03-01T12:04:00.000Z"},
		"failing":{"since":"2026-03-01T12:05:00.000Z","attempts":6,"next_attempt_at":"2026-03-01T12:07:00.000Z","event_id":"`+uuidA+`","event_name":"a.b",
			"status_code":null,"cause":"no route","stops_at":"2026-03-01T12:08:00.000Z"},
		"restart_by":"2026-03-01T12:09:00.000Z","last_delivered_at":"2026-03-01T12:10:00.000Z",
		"progress":{"fraction":0.25,"read":50,"filtered":11,"delivered":12,"rejected":13,"skipped":14}}`, w.want(t, 200, get(base+"/hook/health")))
}

// An integration that is deleted while its health is read is not there.
func TestHealthOfWhatIsDeletedMeanwhile(t *testing.T) {
	w := finding(t, &found{})
	w.wantError(t, 404, problem.NotFound, `"hook"`, get(base+"/hook/health"))
	sameJSON(t, `{"integrations":[]}`, w.want(t, 200, get(base+"?include=health")))
	sameJSON(t, `{"integrations":[`+hookShown+`]}`, w.want(t, 200, get(base)))
}

func TestServicesThatFail(t *testing.T) {
	w := finding(t, &found{health: &health.Health{}, err: problem.New(problem.Unavailable, "The store is away.")})
	rejects := base + "/hook/rejected_events"
	for _, c := range []call{
		get(base + "/hook/health"), get(base + "?include=health"), post(base+"/_estimate", webhook),
		get(rejects), get(rejects + "?limit=1"), post(rejects+"/_retry", `{"all":true}`), post(rejects+"/_delete", `{"all":true}`),
	} {
		w.wantError(t, 503, problem.Unavailable, "The store is away.", c)
	}
}

func TestEstimateShowsEachField(t *testing.T) {
	f := &found{estimate: estimate.Estimate{Events: 1, Bytes: 2, OldestAvailable: at(3), First: at(4), Last: at(5)}}
	w := finding(t, f)
	const want = `{"events":1,"bytes":2,"oldest_available":"2026-03-01T12:03:00.000Z","first_at":"2026-03-01T12:04:00.000Z","last_at":"2026-03-01T12:05:00.000Z","exact":false,"seconds":null}`
	sameJSON(t, want, w.want(t, 200, post(base+"/_estimate", webhook)))
	f.estimate.Exact, f.estimate.Duration = true, time.Millisecond
	sameJSON(t, strings.NewReplacer("false", "true", `"seconds":null`, `"seconds":1`).Replace(want), w.want(t, 200, post(base+"/_estimate", webhook)))
}

func TestBulkShowsEachField(t *testing.T) {
	w := finding(t, &found{bulk: rejected.Bulk{Done: []string{uuidA}, Failed: []rejected.BulkFailure{{EventID: uuidB, Cause: "bad request"}}, Remaining: 3}})
	rejects := base + "/hook/rejected_events"
	const rest = `"failed":[{"id":"` + uuidB + `","cause":"bad request"}],"remaining":3}`
	sameJSON(t, `{"delivered":["`+uuidA+`"],`+rest, w.want(t, 200, post(rejects+"/_retry", `{"all":true}`)))
	sameJSON(t, `{"delivered":[],"deleted":["`+uuidA+`"],`+rest, w.want(t, 200, post(rejects+"/_delete", `{"all":true}`)))
	w.wantError(t, 400, problem.InvalidRequest, "exclude each other", post(rejects+"/_retry", `{"all":true,"event_ids":[]}`))
}

// Without its parameters the list is whole, however long it is; with them a page has 50
// unless told otherwise.
func TestRejectedEventsAreWholeUnlessAskedForPages(t *testing.T) {
	f := &found{}
	for i := range 60 { // newest first
		f.refs = append(f.refs, integration.RejectedRef{EventID: fmt.Sprintf("01890a5d-ac96-774b-bcce-%012d", i), CreatedAt: at(59 - i), Name: "a.b"})
	}
	w := finding(t, f)
	list := base + "/hook/rejected_events"
	read := func(query string) (n int, next string) {
		t.Helper()
		var a struct {
			Events []json.RawMessage `json:"rejected_events"`
			Next   *string           `json:"next"`
		}
		if err := json.Unmarshal([]byte(w.want(t, 200, get(list+query))), &a); err != nil {
			t.Fatal(err)
		}
		if a.Next != nil {
			next = *a.Next
		}
		return len(a.Events), next
	}
	if n, next := read(""); n != 60 || next != "" {
		t.Errorf("the list has %d events, next %q", n, next)
	}
	if n, next := read("?limit=60"); n != 60 || next != "" {
		t.Errorf("a page of all has %d events, next %q", n, next)
	}
	_, next := read("?limit=4")
	if n, rest := read("?after=" + url.QueryEscape(next)); n != 50 || rest == "" {
		t.Errorf("a page without a limit has %d events, next %q", n, rest)
	}
	if n, rest := read("?limit=56&after=" + url.QueryEscape(next)); n != 56 || rest != "" {
		t.Errorf("the last page has %d events, next %q", n, rest)
	}
	for _, place := range []string{"1 x", "x " + uuidA, uuidA, "1"} {
		w.wantError(t, 400, problem.InvalidRequest, "after is not the next", get(list+"?after="+base64.RawURLEncoding.EncodeToString([]byte(place))))
	}
}

// Every action that a log can have can be asked for.
func TestLogOfEachAction(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, bucket))
	w.want(t, 200, remove(base+"/bucket"))
	w.want(t, 200, post(base, webhook))
	for _, action := range []integration.Action{
		integration.ActionUpdated, integration.ActionStopped, integration.ActionRetryTriggered, integration.ActionEventRejected, integration.ActionRejectedRetried,
		integration.ActionRejectedDeleted, integration.ActionRejectedEvicted, integration.ActionEventsSkipped, integration.ActionRecovered, integration.ActionUnreachable,
		integration.ActionEventSkipped, integration.ActionPositionMoved,
	} {
		sameJSON(t, `{"entries":[],"next":null}`, w.want(t, 200, get(base+"/hook/logs?action="+string(action))))
	}
	for _, action := range []integration.Action{integration.ActionCreated, integration.ActionStarted} {
		if log := w.want(t, 200, get(base+"/hook/logs?action="+string(action))); strings.Count(log, `"action":"`+string(action)) != 1 || strings.Count(log, `"action"`) != 1 {
			t.Errorf("the entries of %s are %s", action, log)
		}
	}
}

// A body of blanks is none.
func TestTestWithABlankBody(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	rec := httptest.NewRecorder() // the document has no such body
	if w.api.ServeHTTP(rec, call{method: "POST", path: base + "/hook/_test", body: " \r\n"}.request()); rec.Code != 200 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

func TestKeyWithAControlCharacter(t *testing.T) {
	w := setup()
	for _, c := range []string{"\x7f", "\x1f"} {
		w.wantError(t, 400, problem.InvalidRequest, "position 2", post(events, `{"name":"a.b","payload":{}}`).once("a"+c))
	}
}

// A refusal of an event's tenant names the scope that is missing (RFC 6750).
func TestAnEventOfAnotherTenantIsToldTheScope(t *testing.T) {
	w := setup()
	rec := w.do(t, post(events, `{"tenant":"globex","name":"a.b","payload":{}}`))
	if got := rec.Header().Get("WWW-Authenticate"); rec.Code != 403 || !strings.Contains(got, `error="insufficient_scope", scope="tenants:any"`) {
		t.Errorf("%d, WWW-Authenticate %q", rec.Code, got)
	}
}

// Both forms of a pull have one URL, so a cache must tell them apart; what accepts any JSON
// first gets it.
func TestPullVariesByAccept(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	for accept, media := range map[string]string{
		"application/*, application/x-ndjson": "application/json", "*/*, application/x-ndjson": "application/json",
		"application/json;q=0.9, application/x-ndjson": "application/json", "application/x-ndjson, application/json": "application/x-ndjson",
	} {
		rec := w.pullAs(t, accept, pulled)
		if got := rec.Header().Get("Content-Type"); got != media || rec.Header().Get("Vary") != "Accept" {
			t.Errorf("Accept %q: %s, Vary %q", accept, got, rec.Header().Get("Vary"))
		}
	}
}

// The events of a pull are held in the memory of bodies, and no longer than the call.
func TestPullSharesTheMemoryOfBodies(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	w.want(t, 202, post(events, eventOf(100_000)))
	w.deps.Settings.MaxBodyMemory = 1_000_000
	w.api = httpapi.New(w.deps)
	for range 20 {
		w.want(t, 200, get(pulled))
	}
	w.deps.Settings.MaxBodyMemory = 50_000
	w.api = httpapi.New(w.deps)
	w.wantError(t, 503, problem.Unavailable, "no memory for the events", get(pulled))
}
