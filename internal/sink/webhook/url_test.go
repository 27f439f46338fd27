package webhook

import (
	"bufio"
	"bytes"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sink"
)

// targets maps what follows the host of a URL to the target in the request line.
var targets = map[string]string{
	"":                                "/",
	"?":                               "/?",
	"/":                               "/",
	"/hook":                           "/hook",
	"//hook//":                        "//hook//",
	"/a%2Fb%2fc;v=1/@me:x":            "/a%2Fb%2fc;v=1/@me:x",
	"/a?b=c+d&e=%20f&b=a&&g=/h?i:@;,": "/a?b=c+d&e=%20f&b=a&&g=/h?i:@;,",
	"/a?q='(x)*!$~":                   "/a?q='(x)*!$~",
	"/hook?team=sales emea":           "/hook?team=sales%20emea",
	"?team=sales emea":                "/?team=sales%20emea",
	"/my hook":                        "/my%20hook",
	"/a%2Fb c":                        "/a%2Fb%20c",
	"/café?é":                         "/caf%C3%A9?%C3%A9",
	"/100%?rate=5%&a=%4&b=%zz&c=%41":  "/100%25?rate=5%25&a=%254&b=%25zz&c=%41",
	`/{}|?x={y}|"<>\^` + "`":          "/%7B%7D%7C?x=%7By%7D%7C%22%3C%3E%5C%5E%60",
	"/a[0]?filter[x]=1":               "/a%5B0%5D?filter%5Bx%5D=1",
	"/a\tb?c\r\nX: y\x00\x7f\xff":     "/a%09b?c%0D%0AX:%20y%00%7F%FF",
	"/a?b#c d":                        "/a?b",
	"/a#b?c":                          "/a",
}

// An HTTP server itself responds with 400 to a request line that it cannot parse,
// and the event would count as rejected.
func TestRequestLineIsEncoded(t *testing.T) {
	var got string
	server := receiver(t, func(_ http.ResponseWriter, r *http.Request) { got = r.RequestURI })
	for target, want := range targets {
		v := open(t, newClient(t, nil), hookTo(server+target)).Send(t.Context(), sample(), 1)
		if v.Outcome != sink.Delivered || got != want {
			t.Errorf("%q: %+v, the request line has %q, want %q", target, v, got, want)
		}
	}
}

var (
	originForm = regexp.MustCompile(`^/([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*$`)
	escape     = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
)

// decode decodes the escapes in a string and keeps everything else.
func decode(s string) string {
	return escape.ReplaceAllStringFunc(s, func(e string) string {
		c, _ := url.PathUnescape(e)
		return c
	})
}

// Whatever URL is registered, an ordinary server can parse the request line, the
// line means the same as the URL, and a valid URL is in it byte for byte.
func FuzzRequestLine(f *testing.F) {
	for target := range targets {
		f.Add("http://example.com" + target)
	}
	f.Add("https://[::1]:8443?a b")
	f.Add("http://good@evil/")
	f.Add("http:/a://b/c d")
	f.Add("//example.com/a://b c")
	client := newClient(f, nil)
	f.Fuzz(func(t *testing.T, raw string) {
		sender, err := client.Open(t.Context(), &integration.Integration{Webhook: &integration.Webhook{URL: raw}}, vault{})
		if err != nil {
			return
		}
		var b bytes.Buffer
		req := sender.request(sample(), 1)
		if err := req.Write(&b); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		line, _, _ := strings.Cut(b.String(), "\r\n")
		got := strings.TrimSuffix(strings.TrimPrefix(line, "POST "), " HTTP/1.1")
		if !originForm.MatchString(got) || line != "POST "+got+" HTTP/1.1" {
			t.Errorf("%q: the request line is %q", raw, line)
		}
		if req, err := http.ReadRequest(bufio.NewReader(&b)); err != nil || req.RequestURI != got {
			t.Errorf("%q: a server reads %+v, %v", raw, req, err)
		}
		checkTarget(t, raw, got)
		checkHost(t, raw, sender)
	})
}

func checkTarget(t *testing.T, raw, got string) {
	want, _, _ := strings.Cut(raw, "#")
	_, want, _ = strings.Cut(want, "://")
	i := strings.IndexAny(want+"/", "/?")
	want = want[i:]
	if !strings.HasPrefix(want, "/") {
		want = "/" + want
	}
	if originForm.MatchString(want) && got != want {
		t.Errorf("%q is valid, and the request line has %q", raw, got)
	}
	if decode(got) != decode(want) {
		t.Errorf("%q became %q, which means %q", raw, got, decode(got))
	}
}

// checkHost checks that encoding does not change the host: registration checked the
// host of the URL as it was given.
func checkHost(t *testing.T, raw string, s *Sender) {
	if u, err := url.Parse(raw); err == nil && (u.Host != s.url.Host || u.Scheme != s.url.Scheme) {
		t.Errorf("%q: the call goes to %s, want %s", raw, s.url.Host, u.Host)
	}
}
