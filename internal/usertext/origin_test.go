package usertext

import (
	"net/url"
	"strings"
	"testing"
)

// The same place has one origin however its URL is written; another place has another.
func TestOrigin(t *testing.T) {
	for raw, want := range map[string]string{
		"https://example.com":               "https://example.com:443",
		"https://EXAMPLE.com:443/a?b#c":     "https://example.com:443",
		"HTTPS://example.com/other":         "https://example.com:443",
		"http://example.com":                "http://example.com:80",
		"http://example.com:443":            "http://example.com:443",
		"https://example.com:8443":          "https://example.com:8443",
		"https://example.com.":              "https://example.com.:443",
		"https://example.com.evil.test":     "https://example.com.evil.test:443",
		"https://evil.test/https://":        "https://evil.test:443",
		"https://[::1]:9/x":                 "https://[::1]:9",
		"https://[::1]":                     "https://[::1]:443",
		"https://evil.test?://example.com/": "https://evil.test:443",
	} {
		u, err := ParseURL(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := Origin(u); got != want {
			t.Errorf("Origin(%s) = %s, want %s", raw, got, want)
		}
	}
}

// What may be a secret is not shown: path, query, user and fragment.
func TestShortURL(t *testing.T) {
	for raw, want := range map[string]string{
		"https://example.com":                                 "https://example.com",
		"https://example.com/":                                "https://example.com",
		"https://example.com:8443/services/hush/hush/hush":    "https://example.com:8443/services/…",
		"https://example.com/hush":                            "https://example.com/…",
		"https://example.com/hush/":                           "https://example.com/…",
		"https://example.com/Hush/in":                         "https://example.com/…",
		"https://example.com/h7sh/in":                         "https://example.com/…",
		"https://example.com/hush%2Fhush/in":                  "https://example.com/…",
		"https://example.com/hushhushhushhushh/in":            "https://example.com/…",
		"https://example.com//hush/in":                        "https://example.com/…",
		"https://example.com?hush":                            "https://example.com/…",
		"https://example.com/?hush=hush&<script>=1":           "https://example.com/…",
		"https://example.com/services/in?hush=hush":           "https://example.com/services/…",
		"https://hush:hush@example.com/a#hush":                "https://example.com/…",
		"https://[::1]:9/in/x":                                "https://[::1]:9/in/…",
		"https://<b>.example.com/in/x":                        "https://?b?.example.com/in/…",
		"https://a%E2%80%AEb.example.com/" + "in/" + "secret": "https://a?b.example.com/in/…",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := ShortURL(u); got != want {
			t.Errorf("ShortURL(%s) = %s, want %s", raw, got, want)
		}
	}
}

func FuzzShortURL(f *testing.F) {
	f.Add("https://example.com/services/T0/B0/hush?hush#hush")
	f.Add("https://u:p@[::1%25eth0]:9/%2e%2e/x")
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := ParseURL(raw)
		if err != nil {
			return
		}
		got := ShortURL(u)
		rest := strings.TrimPrefix(got, u.Scheme+"://")
		host, path, _ := strings.Cut(rest, "/")
		if strings.ContainsAny(host, "<>@\"'\x1b") || path != "" && path != "…" && (!strings.HasSuffix(path, "/…") || strings.Count(path, "/") != 1) {
			t.Errorf("ShortURL(%q) = %q", raw, got)
		}
	})
}
