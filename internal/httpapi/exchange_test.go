package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/httpapi"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
)

// failing is a service whose List calls list.
type failing struct {
	httpapi.Integrations
	list func(ctx context.Context) error
}

func (f failing) List(ctx context.Context, _ string) ([]*integration.Integration, error) {
	return nil, f.list(ctx)
}

func (w *world) failWith(list func(ctx context.Context) error) {
	w.deps.Integrations = failing{w.deps.Integrations, list}
	w.api = httpapi.New(w.deps)
}

// logged decodes the log, a line each.
func (w *world) logged(t *testing.T) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for line := range strings.Lines(w.lines.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fields)
	}
	return lines
}

func TestEveryCodeHasAStatus(t *testing.T) {
	want := map[problem.Code]int{
		problem.InvalidRequest: 400, problem.InvalidJSON: 400, problem.UnknownField: 400, problem.UnknownParameter: 400, problem.InvalidTarget: 400,
		problem.LimitReached: 400, problem.NotStopped: 400, problem.ReplayFinished: 400, problem.InvalidPosition: 400, problem.PositionExpired: 410, problem.WindowRequired: 400, problem.WindowTooLarge: 400, problem.TenantRequired: 400,
		problem.Unauthorized: 401, problem.Forbidden: 403, problem.NotFound: 404, problem.MethodNotAllowed: 405,
		problem.AlreadyExists: 409, problem.Conflict: 409, problem.RetryInProgress: 409, problem.NotBlocked: 409, problem.AlertsOff: 409, problem.KeyInProgress: 409, problem.IdempotencyMismatch: 422,
		problem.PayloadTooLarge: 413, problem.UnsupportedMediaType: 415, problem.TooManyRequests: 429,
		problem.Internal: 500, problem.ReceiverFailed: 502, problem.Unavailable: 503,
	}
	for _, code := range problem.Codes() {
		w := setup()
		w.failWith(func(context.Context) error { return fmt.Errorf("at List: %w", problem.New(code, "It failed.")) })
		rec := httptest.NewRecorder()
		w.api.ServeHTTP(rec, get(base).request())
		if rec.Code != want[code] || !strings.Contains(rec.Body.String(), `"error_code":"`+string(code)+`"`) {
			t.Errorf("%s: status %d, want %d: %s", code, rec.Code, want[code], rec.Body)
		}
		if wait := rec.Code == 429 || rec.Code == 503; wait != (rec.Header().Get("Retry-After") != "") {
			t.Errorf("%s: Retry-After %q", code, rec.Header().Get("Retry-After"))
		}
		if err := contract.isError(rec.Body.Bytes()); err != nil {
			t.Error(err)
		}
	}
}

func TestInternalErrorsAreForTheLogAlone(t *testing.T) {
	for name, list := range map[string]func(context.Context) error{
		"error":         func(context.Context) error { return errors.New("the disk is on fire") },
		"unknown code":  func(context.Context) error { return problem.New("made_up", "the disk is on fire") },
		"panic":         func(context.Context) error { panic("the disk is on fire") },
		"internal code": func(context.Context) error { return problem.New(problem.Internal, "the disk is on fire") },
	} {
		t.Run(name, func(t *testing.T) {
			w := setup()
			w.failWith(list)
			rec := httptest.NewRecorder()
			w.api.ServeHTTP(rec, get(base).request())
			if rec.Code != 500 || strings.Contains(rec.Body.String(), "made_up") || name != "unknown code" && strings.Contains(rec.Body.String(), "fire") {
				t.Errorf("status %d: %s", rec.Code, rec.Body)
			}
			if err := contract.isError(rec.Body.Bytes()); err != nil {
				t.Error(err)
			}
			id := rec.Header().Get("X-Request-Id")
			if !strings.Contains(rec.Body.String(), id) || !strings.Contains(w.lines.String(), "fire") {
				t.Errorf("request %s: %s\n%s", id, rec.Body, w.lines)
			}
			for _, line := range w.logged(t) {
				if line["request_id"] != id {
					t.Errorf("logged %v", line)
				}
			}
		})
	}
}

func TestACallThatIsCutShortMayBeTriedAgain(t *testing.T) {
	w := setup()
	w.failWith(func(ctx context.Context) error { return fmt.Errorf("read: %w", ctx.Err()) })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, get(base).request().WithContext(ctx))
	if rec.Code != 503 || !strings.Contains(w.lines.String(), "context canceled") {
		t.Errorf("status %d: %s\n%s", rec.Code, rec.Body, w.lines)
	}
}

func TestOneLineIsLoggedARequest(t *testing.T) {
	w := setup()
	inner := slog.New(httpapi.WithRequestID(slog.NewJSONHandler(w.lines, nil))).With("part", "inner")
	w.failWith(func(ctx context.Context) error { inner.InfoContext(ctx, "listing"); return nil })
	r := get(base).request()
	r.Header.Set("X-Request-Id", "mine")
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, r)
	id := rec.Header().Get("X-Request-Id")
	if id == "mine" || len(id) != 26 {
		t.Errorf("request id %q", id)
	}
	lines := w.logged(t)
	for _, line := range lines {
		delete(line, "time")
	}
	want := []map[string]any{
		{"level": "INFO", "msg": "listing", "part": "inner", "request_id": id},
		{"level": "INFO", "msg": "request served", "request_id": id, "method": "GET", "route": base, "path": base, "status": 200.0, "took_ms": 0.0, "bytes": float64(rec.Body.Len()), "tenant": "acme"},
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
}

// Responses have secrets and customers' data in them: no cache may keep one, and no
// browser may take one for a page.
func TestNoResponseIsKeptOrTakenForAPage(t *testing.T) {
	for _, c := range []call{get(base), get(base + "/none"), get("/nowhere"), get(base).as("none"), get("/healthz"), post(events, "{")} {
		rec := httptest.NewRecorder()
		setup().api.ServeHTTP(rec, c.request())
		if h := rec.Header(); h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: status %d, headers %v", c.method, c.path, rec.Code, h)
		}
	}
}

func TestHeadAndOptions(t *testing.T) {
	w := setup()
	for _, path := range []string{base, base + "/hook", "/healthz", "/metrics", "/openapi.yaml"} {
		got, head := w.do(t, get(path)), w.do(t, call{method: "HEAD", path: path})
		if head.Code != got.Code || head.Body.Len() != 0 || head.Header().Get("Content-Length") != got.Header().Get("Content-Length") {
			t.Errorf("%s: %d %v", path, head.Code, head.Header())
		}
	}
	options := w.do(t, call{method: "OPTIONS", path: base, token: "none"})
	if options.Code != 204 || options.Header().Get("Allow") != "GET, HEAD, OPTIONS, POST" {
		t.Errorf("%d %v", options.Code, options.Header())
	}
}

func TestReadiness(t *testing.T) {
	w := setup()
	w.want(t, 200, get("/readyz").as("none"))
	w.deps.Ready = func(context.Context) error { return errors.New("no disk") }
	w.api = httpapi.New(w.deps)
	w.wantError(t, 503, problem.Unavailable, "The service is not ready", get("/readyz").as("none"))
	w.deps.Metrics = nil
	w.api = httpapi.New(w.deps)
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, get("/metrics").request())
	if rec.Code != 404 {
		t.Errorf("status %d without metrics", rec.Code)
	}
}

// TestOverTheWire has what only a real server shows.
func TestOverTheWire(t *testing.T) {
	w := setup()
	started := make(chan struct{}, 1)
	w.deps.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		started <- struct{}{}
		panic("later")
	})
	w.api = httpapi.New(w.deps)
	server := httptest.NewServer(w.api)
	defer server.Close()

	t.Run("a panic after the start breaks the connection", func(t *testing.T) {
		res, err := server.Client().Get(server.URL + "/metrics")
		if err == nil {
			_, err = io.ReadAll(res.Body)
			_ = res.Body.Close()
		}
		<-started
		if err == nil {
			t.Error("half a response passed as the whole")
		}
	})
	t.Run("a body without a length is bounded", func(t *testing.T) {
		r, _ := http.NewRequest("POST", server.URL+base, io.MultiReader(strings.NewReader("{"), bytes.NewReader(bytes.Repeat([]byte(" "), 1<<20))))
		r.Header.Set("Authorization", "Bearer acme"+all)
		res, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode != 413 {
			t.Errorf("status %d", res.StatusCode)
		}
	})
	t.Run("odd request lines", func(t *testing.T) {
		for _, line := range []string{"OPTIONS * HTTP/1.1", "GET http://x/api//v1 HTTP/1.1", "GET /%2e%2e/x HTTP/1.1", "CONNECT x:1 HTTP/1.1"} {
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = fmt.Fprintf(conn, "%s\r\nHost: x\r\nConnection: close\r\n\r\n", line)
			answer, _ := io.ReadAll(conn)
			_ = conn.Close()
			if status := string(answer[:min(len(answer), 12)]); status != "HTTP/1.1 404" && line[:7] != "OPTIONS" {
				t.Errorf("%s: %s", line, answer)
			}
		}
	})
}
