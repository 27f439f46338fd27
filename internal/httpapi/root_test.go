package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/problem"
)

// atRoot returns the response to a request for / with this Accept.
func atRoot(t *testing.T, w *world, method, accept string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/", http.NoBody)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, r)
	return rec
}

// Who opens the address in a browser learns what is there; a client of the API that has
// the wrong path gets an error that it can read.
func TestBrowserAtTheRootGetsAPage(t *testing.T) {
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
	w := setup()
	for _, accept := range []string{browser, "text/html", "application/json;q=0.5, text/html", "Text/HTML;level=1"} {
		rec := atRoot(t, w, "GET", accept)
		h := rec.Header()
		if rec.Code != 200 || h.Get("Content-Type") != "text/html; charset=utf-8" || h.Get("Vary") != "Accept" || h.Get("Content-Security-Policy") == "" || h.Get("X-Request-Id") == "" {
			t.Errorf("%q: %d, %v", accept, rec.Code, h)
		}
		for _, link := range regexp.MustCompile(`href="(/[^"]*)"`).FindAllStringSubmatch(rec.Body.String(), -1) {
			w.want(t, 200, get(link[1]))
		}
		if !strings.Contains(rec.Body.String(), `href="/openapi.yaml"`) || !strings.Contains(rec.Body.String(), "/docs") {
			t.Errorf("%q: the page lacks a link: %s", accept, rec.Body)
		}
	}
	if page := atRoot(t, w, "GET", browser).Body.String(); !strings.Contains(page, `href="/console/"`) {
		t.Errorf("the page does not link to the console: %s", page)
	}
	if rec := atRoot(t, w, "HEAD", browser); rec.Code != 200 || rec.Body.Len() > 0 {
		t.Errorf("HEAD: %d, %q", rec.Code, rec.Body)
	}
	for _, accept := range []string{"", "*/*", "application/json", "application/json, text/html", "text/html;q=0", "text/html;q=0.1,application/json;q=0.2", "text/*", "text/html;q=x", ";"} {
		w.isNotFound(t, accept, atRoot(t, w, "GET", accept))
	}
	w.isNotFound(t, "POST", atRoot(t, w, "POST", browser))
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/api", http.NoBody)
	r.Header.Set("Accept", browser)
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, r)
	w.isNotFound(t, "another path", rec)
}

func (w *world) isNotFound(t *testing.T, what string, rec *httptest.ResponseRecorder) {
	t.Helper()
	if err := contract.isError(rec.Body.Bytes()); err != nil || rec.Code != 404 || !strings.Contains(rec.Body.String(), string(problem.NotFound)) {
		t.Errorf("%q: %d %s, %v", what, rec.Code, rec.Body, err)
	}
}
