package console

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/version"
)

// maxBytes limits all files together: the page must be there at once on a slow line, and costs
// memory in every process.
const maxBytes = 200 << 10

func open(t *testing.T, change func(*settings.Settings)) *Console {
	t.Helper()
	s := settings.Default()
	change(&s)
	c, err := New(&s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func unchanged(*settings.Settings) {}

// get returns the response, nil if there is no such file.
func (c *Console) get(t *testing.T, name string, tags ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/console/", http.NoBody)
	for _, tag := range tags {
		r.Header.Add("If-None-Match", tag)
	}
	rec := httptest.NewRecorder()
	if !c.Serve(rec, r, name) {
		return nil
	}
	return rec
}

// Every file is served as it is, with the type that its extension says, and a tag of its own.
func TestServesEveryFile(t *testing.T) {
	c, bytes, tags := open(t, unchanged), 0, map[string]string{}
	want := map[string]string{
		"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8",
		"svg": "image/svg+xml", "json": "application/json",
	}
	err := fs.WalkDir(embedded, "static", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := embedded.ReadFile(path)
		bytes += len(body)
		name := strings.TrimPrefix(path, "static/")
		rec := c.get(t, name)
		if rec == nil || rec.Code != http.StatusOK || rec.Body.String() != string(body) {
			t.Errorf("%s is served as %+v", name, rec)
			return err
		}
		if got := rec.Header().Get("Content-Type"); got != want[name[strings.LastIndex(name, ".")+1:]] {
			t.Errorf("%s is of the type %q", name, got)
		}
		tag := rec.Header().Get("ETag")
		if other, taken := tags[tag]; taken || !regexp.MustCompile(`^"[\w-]{22}"$`).MatchString(tag) {
			t.Errorf("%s has the tag %s, as %q", name, tag, other)
		}
		tags[tag] = name
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if bytes > maxBytes {
		t.Errorf("the files have %d bytes, more than %d", bytes, maxBytes)
	}
	if len(tags) < 3 {
		t.Errorf("found only %d files", len(tags))
	}
	index := c.get(t, "")
	if index == nil || index.Body.String() != c.get(t, "index.html").Body.String() {
		t.Error("the console's own path is not its index")
	}
}

// A file that the page has under one name must not be there under others, nor anything besides.
func TestHasNoOtherPaths(t *testing.T) {
	c := open(t, unchanged)
	for _, name := range []string{
		"/", "//", ".", "./index.html", "../console.go", "..%2fconsole.go", "%2e%2e/console.go", "..\\console.go", "static/index.html",
		"/index.html", "index.html/", "index%2ehtml", "INDEX.HTML", "index.html\x00", "index.html%00", "views", "views/", "static", "config.json/", ".git/config",
	} {
		if rec := c.get(t, name); rec != nil {
			t.Errorf("%q is served: %s", name, rec.Body)
		}
	}
}

func TestRevalidates(t *testing.T) {
	c := open(t, unchanged)
	tag := c.get(t, "main.js").Header().Get("ETag")
	for _, same := range [][]string{{tag}, {"W/" + tag}, {`"other", ` + tag}, {`"other"`, tag}, {"*"}} {
		rec := c.get(t, "main.js", same...)
		h := rec.Header()
		if rec.Code != http.StatusNotModified || rec.Body.Len() > 0 || h.Get("ETag") != tag || h.Get("Cache-Control") != "no-cache" || h.Get("Content-Security-Policy") == "" {
			t.Errorf("%q: %d, %d bytes, %v", same, rec.Code, rec.Body.Len(), h)
		}
	}
	for _, other := range [][]string{{""}, {`"other"`}, {strings.Trim(tag, `"`)}, {tag[:len(tag)-2] + `"`}, {c.get(t, "").Header().Get("ETag")}} {
		if rec := c.get(t, "main.js", other...); rec.Code != http.StatusOK || rec.Body.Len() == 0 {
			t.Errorf("%q: %d, %d bytes", other, rec.Code, rec.Body.Len())
		}
	}
}

func TestHeaders(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*settings.Settings)
		policy string
	}{
		"by default": {unchanged, "default-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; object-src 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types sluice"},
		"with a logo and frames": {
			func(s *settings.Settings) {
				s.ConsoleOrigins, s.ConsoleLogo = "https://app.example.com,https://b.example.com:8443", "https://cdn.example.com/a;b/logo.svg"
			},
			"default-src 'self'; img-src 'self' https://cdn.example.com; base-uri 'none'; form-action 'none'; object-src 'none'; frame-ancestors https://app.example.com https://b.example.com:8443; require-trusted-types-for 'script'; trusted-types sluice",
		},
	} {
		console := open(t, c.change)
		for _, file := range []string{"", "main.js", "console.css", "config.json"} {
			h := console.get(t, file).Header()
			got := map[string]string{}
			for _, key := range []string{"Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy", "Cache-Control"} {
				got[key] = h.Get(key)
			}
			want := map[string]string{
				"Content-Security-Policy": c.policy, "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff",
				"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-cache",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", name, file, diff)
			}
		}
	}
}

// What is not valid must not become part of a header, should the check at the start be forgotten.
func TestSettingsThatAddToTheHeaderAreRefused(t *testing.T) {
	for _, change := range []func(*settings.Settings){
		func(s *settings.Settings) { s.ConsoleOrigins = "https://a.example.com; script-src *" },
		func(s *settings.Settings) { s.ConsoleOrigins = "https://a.example.com\r\nSet-Cookie:a=b" },
		func(s *settings.Settings) { s.ConsoleLogo = "https://a.example.com; script-src */logo.svg" },
		func(s *settings.Settings) { s.ConsoleLogo = "https://a.example.com\r\nSet-Cookie:a=b/" },
	} {
		s := settings.Default()
		change(&s)
		if c, err := New(&s); err == nil {
			t.Errorf("the header is %q", c.headers["Content-Security-Policy"])
		}
	}
}

func TestConfig(t *testing.T) {
	const name = "</script><script>alert(1)</script>&<!--\u2028"
	c := open(t, func(s *settings.Settings) {
		s.ConsoleName, s.ConsoleLogo, s.ConsoleAccent, s.TenantClaim = name, "/logo.svg", "#0b5fff", "https://example.com/tenant"
		s.Retention = 48 * time.Hour
	})
	body := c.get(t, "config.json").Body.String()
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"name": name, "logo": "/logo.svg", "accent": "#0b5fff", "version": version.Version, "tenant_claim": "https://example.com/tenant", "retention_ms": 48. * 3600 * 1000}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if strings.ContainsAny(body, "<>&\u2028") {
		t.Errorf("markup is not escaped: %s", body)
	}
	plain := open(t, unchanged).get(t, "config.json").Body.String()
	if want := `{"name":"Sluice","logo":"","accent":"","version":"` + version.Version + `","tenant_claim":"tenant","retention_ms":2592000000}`; plain != want {
		t.Errorf("by default it is %s, want %s", plain, want)
	}
}

// The policy allows neither scripts nor styles in the page itself.
func TestPageHasNothingInline(t *testing.T) {
	page := open(t, unchanged).get(t, "").Body.String()
	for _, form := range []string{`(?i)<script[^>]*>\s*[^<\s]`, `(?i)<style`, `(?i)\sstyle=`, `(?i)\son\w+=`, `(?i)https?:`, `(?i)javascript:`, `(?i)(src|href)="/`} {
		if found := regexp.MustCompile(form).FindString(page); found != "" {
			t.Errorf("the page has %q", found)
		}
	}
}
