package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/alert"
	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/estimate"
	"github.com/sluicehq/sluice/internal/event"
	logmemory "github.com/sluicehq/sluice/internal/eventlog/memory"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/health"
	"github.com/sluicehq/sluice/internal/httpapi"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/lanes"
	"github.com/sluicehq/sluice/internal/lifecycle"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/publish"
	"github.com/sluicehq/sluice/internal/pull"
	"github.com/sluicehq/sluice/internal/rejected"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/skip"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/memory"
	"github.com/sluicehq/sluice/internal/story"
	"github.com/sluicehq/sluice/internal/trial"
)

const (
	base      = "/api/v1/org/integrations/eventstream"
	events    = "/api/v1/org/events"
	uuidA     = "01890a5d-ac96-774b-bcce-b302099a8057"
	uuidB     = "01890a5d-ac96-774b-bcce-b302099a8058"
	apiKey    = "clear-api-key-c0de"
	whsec     = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
	webhook   = `{"id":"hook","integration_type":"permanent","callback_parameters":{"callback_url":"https://erp.example.com/hooks","api_key":"` + apiKey + `","signing_secret":"` + whsec + `"},"filter_conditions":{"event_filter":["order.created"]}}`
	bucket    = `{"id":"bucket","integration_type":"permanent","s3_parameters":{"aws_access_key_id":"EXAMPLEKEYID","aws_secret_access_key":"clear-secret-access-key","aws_region":"eu-central-1","bucket":"my-events","key_prefix":"/a/b/"}}`
	jsonMedia = "application/json"
)

// world is the API over the real services, with memory behind them.
type world struct {
	api   http.Handler
	deps  httpapi.Deps
	store *memory.Store
	log   *logmemory.Log
	lines *bytes.Buffer // what was logged
	now   time.Time
	retry error // what a retry by hand ends with

	waiters pull.Waiters
	tests   *tried
	rate    float64 // events a second
}

func setup() *world {
	w := &world{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), store: memory.New(), lines: new(bytes.Buffer)}
	now := func() time.Time { return w.now }
	w.log = logmemory.New(now)
	s := settings.Default()
	life := &lifecycle.Service{
		Store: w.store, Log: w.log, Sealer: plainSealer{}, Settings: s, Now: now,
		CheckTarget: func(_ context.Context, url string) error {
			if strings.Contains(url, "localhost") {
				return problem.New(problem.InvalidTarget, "the host leads to this machine")
			}
			return nil
		},
		Schedule: func(...handoff.Key) {},
		Quiesce:  func(context.Context, string, string, uint64) bool { return true },
	}
	w.tests = &tried{w: w, result: trial.Result{Outcome: sink.Delivered, Status: 200}}
	rejects := rejected.New(rejected.Options{Store: w.store, Integrations: life, Settings: s, Now: now})
	sent := &deliveries.Service{Integrations: life, Records: w.store, Log: w.log, Cursors: w.store, Keep: s.DeliveryRetention, Now: now, Logger: slog.New(slog.DiscardHandler)}
	spread := &lanes.Service{Store: w.store, Grow: life.GrowLanes, Settings: s, Logger: slog.New(slog.DiscardHandler), Now: now}
	publisher := publish.New(w.log, s)
	publisher.Lanes = spread.Current
	healths := &health.Service{Partitions: w.store, Log: w.log, Cursor: w.store.Cursor, Settings: s, Now: now}
	told := s
	told.OperatorTenant = "operator"
	w.deps = httpapi.Deps{
		Integrations: life,
		Health:       healths,
		Troubles:     &alert.Troubles{Store: w.store, Health: healths, Settings: told, Now: now, Logger: slog.New(slog.DiscardHandler)},
		Rejected:     retries{w, rejects},
		Events:       &pull.Service{Integrations: life, Log: w.log, Settings: s, Now: now, Waiters: &w.waiters},
		Tests:        w.tests,
		Deliveries:   sent,
		Estimates:    &estimate.Service{Log: w.log, Settings: s, Now: now, Rate: func(string) float64 { return w.rate }},
		Skips: &skip.Service{
			Store: w.store, Log: w.log, Integrations: life, Rejected: rejects, Cursors: w.store, Schedule: life.Schedule, Now: now, KeepDeliveries: s.DeliveryRetention,
		},
		Stories: &story.Service{
			Integrations: life, Records: w.store, Deliveries: sent, Cursor: w.store.Cursor, Log: w.log, Settings: s, Now: now,
			Lanes: spread.Current,
		},
		Lanes:     spread,
		Publisher: publisher,
		Verifier:  tokens{},
		Ready:     func(context.Context) error { return nil },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
			_, _ = io.WriteString(w, "sluice_published_total 0\n")
		}),
		Settings: s,
		Log:      slog.New(slog.NewJSONHandler(w.lines, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now:      now,
	}
	w.api = httpapi.New(w.deps)
	return w
}

// retries is the rejected events with a receiver that takes each one that is
// sent again, unless told otherwise.
type retries struct {
	w *world
	*rejected.Service
}

func (r retries) Retry(ctx context.Context, tenant, id, eventID string) error {
	if r.w.retry != nil {
		return r.w.retry
	}
	return r.Delete(ctx, tenant, id, eventID)
}

// reject puts an event into the list of rejected ones.
func (w *world) reject(t *testing.T, tenant, id, eventID string) event.Event {
	t.Helper()
	in, err := w.store.Integration(t.Context(), tenant, id)
	if err != nil {
		t.Fatal(err)
	}
	h := store.HistoryOf(in)
	count, err := w.store.RejectedCount(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	e := event.Draft{ID: eventID, Name: "order.created", Payload: []byte(`{"n":1.0}`)}.Stamp(tenant, w.now)
	r := &integration.Rejected{Event: e, CreatedAt: count.Add(w.now), Attempts: 1}
	err = w.store.Commit(t.Context(), store.PutRejectedCount{History: h, Count: count}, store.PutRejected{History: h, Rejected: r})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// fail has an integration's stream wait for events that were published before: its cursor
// says that each was tried so many times, and that the last response was a 503.
func (w *world) fail(t *testing.T, id string, attempts ...int) {
	t.Helper()
	c, err := w.store.Cursor(t.Context(), handoff.Key{Tenant: "acme", Integration: id})
	if err != nil {
		t.Fatal(err)
	}
	c.Ahead, c.Status = attempts, 503
	if err := w.store.Commit(t.Context(), store.PutCursor{Cursor: c}); err != nil {
		t.Fatal(err)
	}
}

// tokens takes "tenant:scope,scope" for a token.
type tokens struct{}

func (tokens) Verify(_ context.Context, raw string) (auth.Identity, error) {
	tenant, scopes, ok := strings.Cut(raw, ":")
	if raw == "later" {
		return auth.Identity{}, problem.New(problem.Unavailable, "The issuer cannot be reached.")
	}
	if !ok {
		return auth.Identity{}, problem.New(problem.Unauthorized, "The access token is not valid.")
	}
	return auth.Identity{Tenant: tenant, Scopes: strings.Split(strings.ReplaceAll(scopes, "/", ":"), ",")}, nil
}

const (
	all      = ":integrations/write,events/publish"
	platform = all + ",tenants/any" // a token that names no tenant
)

// plainSealer encrypts nothing, but opens for the owner alone.
type plainSealer struct{}

func (plainSealer) Seal(_ context.Context, o secret.Owner, clear secret.String) (secret.Sealed, error) {
	return secret.Sealed{Ciphertext: []byte(prefix(o) + clear.Reveal()), Mask: clear.Mask(), Bound: o.Origin != ""}, nil
}

func (plainSealer) Open(_ context.Context, o secret.Owner, s secret.Sealed) (secret.String, error) {
	clear, ok := bytes.CutPrefix(s.Ciphertext, []byte(prefix(o.Sealing(s))))
	if !ok {
		return secret.String{}, errors.New("sealed for another owner")
	}
	return secret.NewString(string(clear)), nil
}

func (plainSealer) Outdated(o secret.Owner, s secret.Sealed) bool { return o.Sealing(s) != o }

func prefix(o secret.Owner) string {
	return o.Tenant + "|" + o.Integration + "|" + o.Field + "|" + o.Origin + "|"
}

// call is one request; media "" sends no Content-Type.
// tenant and key are headers, "" for none.
type call struct{ method, path, media, body, token, tenant, key string }

func get(path string) call { return call{method: "GET", path: path} }
func post(path, body string) call {
	return call{method: "POST", path: path, media: jsonMedia, body: body}
}

func patch(path, body string) call {
	return call{method: "PATCH", path: path, media: jsonMedia, body: body}
}
func remove(path string) call       { return call{method: "DELETE", path: path} }
func (c call) as(token string) call { c.token = token; return c }

// once is the call with an idempotency key.
func (c call) once(key string) call {
	c.key = key
	return c
}

// of is the call with a platform token, for a tenant, or for none if that is "".
func (c call) of(tenant string) call {
	c.token, c.tenant = platform, tenant
	return c
}

func (c call) request() *http.Request {
	r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
	if c.body == "" {
		r = httptest.NewRequest(c.method, c.path, nil)
	}
	if c.media != "" {
		r.Header.Set("Content-Type", c.media)
	}
	if c.tenant != "" {
		r.Header.Set("Sluice-Tenant", c.tenant)
	}
	if c.key != "" {
		r.Header.Set("Idempotency-Key", c.key)
	}
	switch c.token {
	case "":
		r.Header.Set("Authorization", "Bearer acme"+all)
	case "none":
	default:
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	return r
}

// fataler is a *testing.T or a *rapid.T.
type fataler interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// do makes the call and checks request and response against the contract.
func (w *world) do(t fataler, c call) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, c.request())
	contract.check(t, c, rec)
	return rec
}

// want makes a call whose status must be as given, and returns the response.
func (w *world) want(t *testing.T, status int, c call) string {
	t.Helper()
	rec := w.do(t, c)
	if rec.Code != status {
		t.Fatalf("%s %s: status %d, want %d: %s", c.method, c.path, rec.Code, status, rec.Body)
	}
	return rec.Body.String()
}

// wantError is want for a call that must fail with a message like the given.
func (w *world) wantError(t *testing.T, status int, code problem.Code, message string, c call) {
	t.Helper()
	body := w.want(t, status, c)
	var e struct {
		Code    problem.Code `json:"error_code"`
		Message string
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatal(err)
	}
	if e.Code != code || !strings.Contains(e.Message, message) {
		t.Errorf("%s %s: %s, want %s with %q", c.method, c.path, body, code, message)
	}
}

func sameJSON(t *testing.T, want, got string) {
	t.Helper()
	var a, b any
	if err := errors.Join(json.Unmarshal([]byte(want), &a), json.Unmarshal([]byte(got), &b)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Error(diff)
	}
}

// state is everything a refused call could have changed for a tenant.
func (w *world) state(t fataler, tenant string) string {
	t.Helper()
	var b strings.Builder
	for _, path := range []string{base, base + "/hook/logs", base + "/hook/rejected_events", base + "/bucket/logs", base + "/replay/logs"} {
		rec := httptest.NewRecorder()
		w.api.ServeHTTP(rec, get(path).as(tenant+all).request())
		b.WriteString(rec.Body.String())
	}
	end, err := w.log.End(context.Background(), event.Partition{Tenant: tenant})
	if err != nil {
		t.Fatalf("%v", err)
	}
	b.WriteString(strings.Repeat("#", int(end)))
	return requestID.ReplaceAllString(b.String(), "")
}
