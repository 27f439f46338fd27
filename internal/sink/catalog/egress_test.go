package catalog

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/netguard"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
)

// Webhooks and files take the proxy, which alone resolves the names: by CONNECT to
// https, as plain requests to http.
func TestEverythingLeavesThroughTheProxy(t *testing.T) {
	ca, r := newAuthority(t), &target{}
	p := &proxy{secure: r.serve(t, &ca.leaf), plain: r.serve(t, nil)}
	s := openSinks(t, netguard.Public, func(s *settings.Settings) { s.EgressProxy, s.CAFile = p.serve(t), ca.file })
	for name, v := range map[string]sink.Verdict{
		"webhook": s.send(t, "https://hook.internal.example/in"),
		"plain":   s.send(t, "http://plain.internal.example/in"),
		"file":    s.export(t, "https://store.internal.example"),
	} {
		if v.Outcome != sink.Delivered {
			t.Errorf("%s: %+v", name, v)
		}
	}
	asked, got := p.requests(), slices.Sorted(slices.Values(r.seen))
	slices.Sort(asked)
	if want := []string{"CONNECT hook.internal.example:443", "CONNECT store.internal.example:443", "POST http://plain.internal.example/in"}; !slices.Equal(asked, want) {
		t.Errorf("the proxy was asked %q, want %q", asked, want)
	}
	if want := []string{"POST hook.internal.example", "POST plain.internal.example", "PUT store.internal.example"}; !slices.Equal(got, want) {
		t.Errorf("the targets got %q, want %q", got, want)
	}
}

// A literal address is refused before the proxy is asked, which may reach it.
func TestLiteralAddressesAreNotGivenToTheProxy(t *testing.T) {
	r := &target{}
	p := &proxy{plain: r.serve(t, nil)}
	s := openSinks(t, netguard.Public, func(s *settings.Settings) { s.EgressProxy = p.serve(t) })
	for _, url := range []string{"http://10.0.0.1/", "https://169.254.169.254/", "http://[::1]:9/", "http://localhost/", "http://a.LOCALHOST./"} {
		if v := s.send(t, url); v.Outcome != sink.Retry || !strings.Contains(v.Detail, "which is not allowed") {
			t.Errorf("%s: %+v", url, v)
		}
		if v := s.export(t, url); v.Outcome != sink.Retry || !strings.Contains(v.Detail, "which is not allowed") {
			t.Errorf("a file to %s: %+v", url, v)
		}
	}
	if asked := p.requests(); len(asked) > 0 {
		t.Errorf("the proxy was asked %q", asked)
	}
}

// What the proxy refuses is an attempt that failed, in one wording for every status. A
// proxy that is away, or wants credentials, is the operator's trouble: no attempt counts.
func TestProxyThatDoesNotConnect(t *testing.T) {
	causes := map[string]bool{}
	for _, status := range []int{http.StatusForbidden, http.StatusBadGateway, http.StatusServiceUnavailable} {
		p := &proxy{status: status}
		s := openSinks(t, netguard.Public, func(s *settings.Settings) { s.EgressProxy = p.serve(t) })
		for _, v := range []sink.Verdict{s.send(t, "https://hook.internal.example/"), s.export(t, "https://store.internal.example")} {
			if v.Outcome != sink.Retry || !strings.Contains(v.Reason, "the egress proxy did not connect to the target") {
				t.Errorf("%d: %+v", status, v)
			}
			causes[v.Cause] = true
		}
	}
	if len(causes) != 1 {
		t.Errorf("the causes tell what the proxy knows: %v", causes)
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	credentials := (&proxy{status: http.StatusProxyAuthRequired, header: "Proxy-Authenticate: Basic"}).serve(t)
	for url, want := range map[string]string{gone.URL: "the egress proxy (SLUICE_EGRESS_PROXY) cannot be reached: connection refused", credentials: "the egress proxy (SLUICE_EGRESS_PROXY) asks for credentials"} {
		s := openSinks(t, netguard.Public, func(s *settings.Settings) { s.EgressProxy = url })
		for _, v := range []sink.Verdict{
			s.send(t, "https://hook.internal.example/"), s.export(t, "https://store.internal.example"),
			s.send(t, "http://hook.internal.example/"), s.export(t, "http://store.internal.example"),
		} {
			if v.Outcome != sink.Unsent || !strings.Contains(v.Reason, want) {
				t.Errorf("%+v; want unsent: %s", v, want)
			}
		}
	}
}

// A response to a plain request that is the proxy's own, as it says itself, is told as the
// proxy's, whatever its status: no receiver has seen the event.
func TestResponsesOfTheProxyItself(t *testing.T) {
	for _, p := range []*proxy{
		{status: http.StatusProxyAuthRequired},
		{status: http.StatusProxyAuthRequired, header: "X-Smokescreen-Error: denied by rule"},
		{status: http.StatusBadRequest, header: "X-Squid-Error: ERR_INVALID_URL 0"},
		{status: http.StatusForbidden, header: "X-Squid-Error: ERR_ACCESS_DENIED 0"},
		{status: http.StatusOK, header: "X-Squid-Error: ERR_CUSTOM 0"},
		{status: http.StatusBadGateway, header: "Proxy-Status: cdn.example; received-status=200, egress; error=dns_error"},
		{status: http.StatusBadRequest, header: `Proxy-Status: egress; error=http_protocol_error; details="a \"line\", and a comma"`},
	} {
		s := openSinks(t, netguard.Public, func(s *settings.Settings) { s.EgressProxy = p.serve(t) })
		for _, v := range []sink.Verdict{s.send(t, "http://hook.internal.example/"), s.export(t, "http://store.internal.example")} {
			if v.Outcome != sink.Retry || !strings.Contains(v.Reason, "the egress proxy did not connect to the target") || v.Status != 0 {
				t.Errorf("%d, %s: %+v", p.status, p.header, v)
			}
		}
	}
	for _, p := range []*proxy{ // for all that it says, these are the receiver's
		{status: http.StatusBadRequest},
		{status: http.StatusBadRequest, header: "Proxy-Status: cdn.example; error=dns_error, egress; received-status=400"},
		{status: http.StatusBadRequest, header: `Proxy-Status: egress; received-status=400; details="so; error=none"`},
	} {
		s := openSinks(t, netguard.Public, func(s *settings.Settings) { s.EgressProxy = p.serve(t) })
		if v := s.send(t, "http://hook.internal.example/"); v.Outcome != sink.Rejected {
			t.Errorf("%s: %+v, want the receiver's 400", p.header, v)
		}
	}
	r := &target{}
	direct := openSinks(t, netguard.Loopback, func(*settings.Settings) {})
	if v := direct.send(t, "http://"+r.serve(t, nil)); v.Outcome != sink.Delivered {
		t.Errorf("without a proxy: %+v", v)
	}
}

// A private authority is trusted if it is named, beside those of the system, and not
// otherwise.
func TestPrivateAuthority(t *testing.T) {
	ca, r := newAuthority(t), &target{}
	url := "https://" + r.serve(t, &ca.leaf)
	trusting := openSinks(t, netguard.Loopback, func(s *settings.Settings) { s.CAFile = ca.file })
	for name, v := range map[string]sink.Verdict{"webhook": trusting.send(t, url), "file": trusting.export(t, url)} {
		if v.Outcome != sink.Delivered {
			t.Errorf("%s: %+v", name, v)
		}
	}
	other := openSinks(t, netguard.Loopback, func(s *settings.Settings) { s.CAFile = newAuthority(t).file })
	without := openSinks(t, netguard.Loopback, func(*settings.Settings) {})
	for _, s := range []sinks{other, without} {
		for _, v := range []sink.Verdict{s.send(t, url), s.export(t, url)} {
			if v.Outcome != sink.Retry || !strings.Contains(v.Cause, "unknown authority") {
				t.Errorf("%+v; want an unknown authority", v)
			}
		}
	}
	if got := len(r.seen); got != 2 {
		t.Errorf("%d calls arrived, want 2: %v", got, r.seen)
	}
}

// Nothing in the environment puts a proxy between us and a receiver: TestMain has set one.
func TestProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	s := openSinks(t, netguard.Public, func(*settings.Settings) {})
	for _, v := range []sink.Verdict{s.send(t, "http://192.0.2.1/"), s.export(t, "http://192.0.2.1"), s.send(t, "https://192.0.2.1/")} {
		if !strings.Contains(v.Detail, "which is not allowed") {
			t.Errorf("%+v", v)
		}
	}
	if asked := ofEnvironment.requests(); len(asked) > 0 {
		t.Errorf("the proxy of the environment was asked %q", asked)
	}
}
