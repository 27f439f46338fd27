package settings

import (
	"strings"
	"testing"
)

// A proxy that cannot be meant is refused at the start, without a word of its password.
func TestEgressProxy(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "",
		"http://proxy.example.com:3128":  "",
		"http://10.0.0.7:3128/":          "",
		"http://[2001:db8::1]:8080":      "",
		"proxy.example.com:3128":         "it does not begin with http://",
		"https://proxy.example.com:3128": "it does not begin with http://",
		"socks5://proxy:1080":            "it does not begin with http://",
		"http://proxy.example.com":       "it has no valid port",
		"http://proxy:0":                 "it has no valid port",
		"http://proxy:65536":             "it has no valid port",
		"http://:3128":                   "it has no host",
		"http://me:hush@proxy:3128":      "it has a user",
		"http://proxy:3128/path":         "it has more than a host and a port",
		"http://proxy:3128?q=1":          "it has more than a host and a port",
		"http://proxy:hush":              "it is not a URL",
	} {
		s := Default()
		s.EgressProxy = text
		errs := s.Validate()
		if want == "" {
			if u, err := s.Proxy(); len(errs) > 0 || err != nil || (u == nil) != (text == "") {
				t.Errorf("%q: %v, %v", text, u, errs)
			}
			continue
		}
		if len(errs) != 1 || !strings.Contains(errs[0].Error(), "SLUICE_EGRESS_PROXY must be http://host:port") || !strings.Contains(errs[0].Error(), want) || strings.Contains(errs[0].Error(), "hush") {
			t.Errorf("%q: %v; want %q", text, errs, want)
		}
	}
}
