package httpapi_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/httpapi"
	"github.com/sluicehq/sluice/internal/problem"
)

// ask makes a call without a token.
func (w *world) ask(c call) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, c.as("none").request())
	return rec
}

// The console is served to a browser that has no token yet.
func TestConsoleNeedsNoToken(t *testing.T) {
	w := setup()
	for path, media := range map[string]string{
		"/console/": "text/html; charset=utf-8", "/console/main.js": "text/javascript; charset=utf-8", "/console/config.json": jsonMedia,
		"/console/?a=b": "text/html; charset=utf-8",
	} {
		rec := w.ask(get(path))
		h := rec.Header()
		if rec.Code != 200 || rec.Body.Len() == 0 || h.Get("Content-Type") != media || h.Get("Cache-Control") != "no-cache" || h.Get("Content-Security-Policy") == "" || h.Get("X-Request-Id") == "" {
			t.Errorf("%s: %d, %d bytes, %v", path, rec.Code, rec.Body.Len(), h)
		}
		head := w.ask(call{method: "HEAD", path: path})
		if head.Code != 200 || head.Body.Len() > 0 || head.Header().Get("Content-Length") != h.Get("Content-Length") || head.Header().Get("ETag") != h.Get("ETag") {
			t.Errorf("HEAD %s: %d, %d bytes, %v", path, head.Code, head.Body.Len(), head.Header())
		}
	}
	r := get("/console/main.js").as("none").request()
	r.Header.Set("If-None-Match", w.ask(get("/console/main.js")).Header().Get("ETag"))
	rec := httptest.NewRecorder()
	if w.api.ServeHTTP(rec, r); rec.Code != 304 || rec.Body.Len() > 0 {
		t.Errorf("again: %d, %q", rec.Code, rec.Body)
	}
}

// Behind a proxy the console may be below a path of the proxy's own.
func TestConsoleRedirectsToItsFolder(t *testing.T) {
	w := setup()
	for _, method := range []string{"GET", "HEAD"} {
		rec := w.ask(call{method: method, path: "/console"})
		if rec.Code != 307 || rec.Header().Get("Location") != "console/" || rec.Body.Len() > 0 {
			t.Errorf("%s: %d to %q, %q", method, rec.Code, rec.Header().Get("Location"), rec.Body)
		}
	}
}

// Whatever is asked for below /console/, there is a file of the page or the API's error.
func TestHostilePathsOfTheConsole(t *testing.T) {
	w := setup()
	for _, path := range []string{
		"/console//", "/console//main.js", "//console/", "/console/./main.js", "/console/../console/main.js", "/console/..", "/console/../openapi.yaml",
		"/console/..%2f", "/console/..%2f..%2fconsole.go", "/console/%2e%2e/console.go", "/console/%2e%2e%2fmain.js", "/console/%2fmain.js", "/console%2f", "/console%2fmain.js",
		"/console/main%2ejs", "/console/main.js%00", "/console/main.js/", "/console/main.js%20", "/console/%5c..%5cconsole.go", "/console/MAIN.JS", "/CONSOLE/",
		"/console/static/main.js", "/console/views", "/console/views/", "/console/.git/config", "/console/nothing.js", "/console.js", "/consoles/", "/console/%ff", "/console/<script>",
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		var err error
		if r.URL, err = url.ParseRequestURI(path); err != nil {
			t.Fatal(err)
		}
		rec := httptest.NewRecorder()
		w.api.ServeHTTP(rec, r)
		w.isNotFound(t, path, rec)
		if got := rec.Header().Get("Content-Type"); got != jsonMedia {
			t.Errorf("%s: the error is %s", path, got)
		}
	}
}

func TestConsoleIsOnlyRead(t *testing.T) {
	w := setup()
	for _, path := range []string{"/console", "/console/", "/console/main.js", "/console/nothing.js"} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "TRACE"} {
			rec := w.ask(call{method: method, path: path, body: "{}", media: jsonMedia})
			if rec.Code != 405 || rec.Header().Get("Allow") != "GET, HEAD, OPTIONS" || !strings.Contains(rec.Body.String(), string(problem.MethodNotAllowed)) {
				t.Errorf("%s %s: %d %s, %v", method, path, rec.Code, rec.Body, rec.Header())
			}
		}
	}
}

func TestConsoleCanBeOff(t *testing.T) {
	w := setup()
	w.deps.Settings.Console = false
	w.api = httpapi.New(w.deps)
	for _, path := range []string{"/console", "/console/", "/console/main.js", "/console/config.json"} {
		w.isNotFound(t, path, w.ask(get(path)))
	}
	if page := atRoot(t, w, "GET", "text/html").Body.String(); strings.Contains(page, "console") || !strings.Contains(page, "/openapi.yaml") {
		t.Errorf("the root's page is %s", page)
	}
}

// A page of a dozen files, opened again and again, must not fill the log.
func TestConsoleIsQuietInTheLog(t *testing.T) {
	w := setup()
	for range 50 {
		for _, path := range []string{"/console/", "/console/main.js", "/console/nothing.js"} {
			w.ask(get(path))
		}
	}
	lines := strings.TrimSpace(w.lines.String())
	if n := strings.Count(lines, "\n") + 1; n > 2 || strings.Count(lines, `"level":"DEBUG"`) != n {
		t.Errorf("%d lines: %s", n, lines)
	}
}
