// Package console serves the web console: a page of static files that are embedded in the
// program, and a document of what it needs to know of this deployment. The page calls the
// public API with the access token that its reader has; the server holds no state for it and
// needs no token to serve it.
package console

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/version"
)

//go:embed static
var embedded embed.FS

const (
	indexName  = "index.html"
	configName = "config.json"
)

// mediaTypes are those of the files, by their extension. Not those of the operating system,
// which may have others.
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".json": "application/json",
}

// Console is the console of one deployment. It is safe for concurrent use.
type Console struct {
	files   map[string]file // by path below the console's
	headers map[string]string
}

type file struct {
	body      []byte
	mediaType string
	tag       string // strong ETag, of the content
}

// New returns the console for valid settings.
func New(s *settings.Settings) (*Console, error) {
	headers, err := headers(s)
	if err != nil {
		return nil, err
	}
	c := &Console{files: map[string]file{}, headers: headers}
	err = fs.WalkDir(embedded, "static", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := embedded.ReadFile(name)
		if err == nil {
			err = c.add(strings.TrimPrefix(name, "static/"), body)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	config, err := config(s)
	if err != nil {
		return nil, err
	}
	return c, c.add(configName, config)
}

func (c *Console) add(name string, body []byte) error {
	mediaType, ok := mediaTypes[path.Ext(name)]
	if !ok {
		return fmt.Errorf("the console's file %s has no media type; add one to mediaTypes, or move the file elsewhere", name)
	}
	sum := sha256.Sum256(body)
	c.files[name] = file{body, mediaType, `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`}
	return nil
}

// headers returns those of every response with a file.
func headers(s *settings.Settings) (map[string]string, error) {
	origins, err := s.FrameOrigins()
	if err != nil {
		return nil, err
	}
	logo, err := s.LogoOrigin()
	if err != nil {
		return nil, err
	}
	framedBy := "'none'"
	if len(origins) > 0 {
		framedBy = strings.Join(origins, " ")
	}
	return map[string]string{
		"Content-Security-Policy": "default-src 'self'; img-src " + strings.TrimSpace("'self' "+logo) +
			"; base-uri 'none'; form-action 'none'; object-src 'none'; frame-ancestors " + framedBy +
			"; require-trusted-types-for 'script'; trusted-types sluice", // the policy of html.js
		"Referrer-Policy":              "no-referrer",
		"X-Content-Type-Options":       "nosniff",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Cache-Control":                "no-cache", // ask each time: a file has the same name in every version
	}, nil
}

// config returns the document of what the page needs to know. It can be read without a token.
func config(s *settings.Settings) ([]byte, error) {
	return json.Marshal(struct {
		Name        string `json:"name"`
		Logo        string `json:"logo"`   // URL or path; "": none
		Accent      string `json:"accent"` // #rrggbb; "": the page's own
		Version     string `json:"version"`
		TenantClaim string `json:"tenant_claim"` // of access tokens
		Retention   int64  `json:"retention_ms"` // of the log: until when nothing is lost
	}{s.ConsoleName, s.ConsoleLogo, s.ConsoleAccent, version.Version, s.TenantClaim, s.Retention.Milliseconds()},
		jsontext.EscapeForHTML(true), jsontext.EscapeForJS(true))
}

// Serve serves a GET for a path below the console's, as it was sent, without unescaping: no file
// has a name that needs it. For a path that has no file it returns false and has written nothing.
func (c *Console) Serve(w http.ResponseWriter, r *http.Request, name string) bool {
	if name == "" {
		name = indexName
	}
	f, ok := c.files[name]
	if !ok {
		return false
	}
	h := w.Header()
	for key, value := range c.headers {
		h.Set(key, value)
	}
	h.Set("ETag", f.tag)
	if has(r.Header.Values("If-None-Match"), f.tag) {
		w.WriteHeader(http.StatusNotModified)
		return true
	}
	h.Set("Content-Type", f.mediaType)
	h.Set("Content-Length", strconv.Itoa(len(f.body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(f.body) // an error means that the client is gone
	return true
}

// has reports whether an If-None-Match has the tag. Its comparison is the weak one (RFC 9110,
// section 13.1.2): a proxy that compresses makes tags weak.
func has(ifNoneMatch []string, tag string) bool {
	for listed := range strings.SplitSeq(strings.Join(ifNoneMatch, ","), ",") {
		listed = strings.TrimSpace(listed)
		if listed == "*" || strings.TrimPrefix(listed, "W/") == tag {
			return true
		}
	}
	return false
}
