package netguard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/problem"
)

// hosts is a Resolver with fixed answers.
type hosts map[string][]string

func (h hosts) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	texts, ok := h[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var addrs []netip.Addr
	for _, text := range texts {
		if text == "timeout" {
			return nil, &net.DNSError{Err: "i/o timeout", Name: host, IsTimeout: true}
		}
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	return addrs, nil
}

// notPublic is the whole message about a name under the Public policy.
const notPublic = "does not resolve to public addresses only; check the name or try again"

func TestCheckURL(t *testing.T) {
	resolver := hosts{
		"public.test":  {"93.184.216.34", "2606:4700::1111"},
		"wide.test":    {"::ffff:93.184.216.34"}, // as net.Resolver answers
		"private.test": {"10.1.2.3"},
		"mapped.test":  {"::ffff:10.1.2.3"},
		"mixed.test":   {"93.184.216.34", "127.0.0.1"},
		"mixed6.test":  {"93.184.216.34", "fd12::1"},
		"dns64.test":   {"93.184.216.34", "64:ff9b::5db8:d822"}, // as DNS64 answers
		"only64.test":  {"64:ff9b::5db8:d822"},
		"inner64.test": {"64:ff9b::a00:5"},
		"localhost":    {"127.0.0.1", "::1"},
		"slow.test":    {"timeout"},
		"empty.test":   {},
		// What a resolver that reads numbers would say.
		"2130706433":  {"93.184.216.34"},
		"0x7f000001":  {"93.184.216.34"},
		"0177.0.0.1":  {"93.184.216.34"},
		"127.1":       {"93.184.216.34"},
		"127.0.0.1.":  {"93.184.216.34"},
		"1.0x7F":      {"93.184.216.34"},
		"4.test.3com": {"93.184.216.34"},
	}
	tests := []struct {
		url  string
		want string // "": allowed; else part of the message
	}{
		{"https://public.test/hook?token=hush", ""},
		{"https://PUBLIC.TEST:8443/", notPublic}, // the double is case-sensitive
		{"http://wide.test", ""},
		{"http://dns64.test", ""},
		{"http://only64.test", ""},
		{"http://inner64.test", notPublic},
		{"http://[64:ff9b::808:808]/", ""},
		{"http://[64:ff9b::a00:1]/", `"64:ff9b::a00:1" has a NAT64 address that carries a private address`},
		{"http://public.test/100%/a b?é{|}", ""},
		{"http://8.8.8.8:81/x", ""},
		{"http://[2606:4700::1111]/", ""},
		{"http://4.test.3com/", ""},
		{"http://private.test/", notPublic},
		{"http://mapped.test/", notPublic},
		{"http://mixed.test/", notPublic},
		{"http://mixed6.test/", notPublic},
		{"http://localhost:9000/", notPublic},
		{"http://127.0.0.1/", `"127.0.0.1" has a loopback address`},
		{"http://[::1]/", `"::1" has a loopback address`},
		{"http://[::ffff:8.8.8.8]/", "carries an IPv4 address"},
		{"http://[fe80::1%25eth0]/", "an address with a zone"},
		{"http://169.254.169.254/latest/meta-data", "a cloud metadata address"},
		{"http://unknown.test/?token=hush", notPublic},
		{"http://empty.test/", notPublic},
		{"http://slow.test/?token=hush", notPublic},
		{"http://2130706433/", "is a number"},
		{"http://0x7f000001/", "is a number"},
		{"http://0177.0.0.1/", "is a number"},
		{"http://127.1/", "is a number"},
		{"http://127.0.0.1./", "is a number"},
		{"http://1.0x7F/", "is a number"},
		{"http://１２７.0.0.1/", "outside ASCII"},
		{"http://münchen.test/", "xn--"},
		{"http://m%C3%BCnchen.test/", "xn--"},
		{"ftp://public.test/?token=hush", "http:// or https://"},
		{"/hook?token=hush", "must start with http:// or https://"},
		{"http:///?token=hush", "followed by a host"},
		{"http://hush:hush@:80/", "followed by a host"},
		{"http://a b/?token=hush", "the URL is invalid"},
		{"http://[::1/?token=hush", "the URL is invalid"},
	}
	guard := New(Public, resolver)
	for _, tt := range tests {
		err := guard.CheckURL(t.Context(), tt.url)
		if tt.want == "" {
			if err != nil {
				t.Errorf("CheckURL(%s) = %v, want nil", tt.url, err)
			}
			continue
		}
		if problem.CodeOf(err) != problem.InvalidTarget || !strings.Contains(problem.MessageOf(err), tt.want) {
			t.Errorf("CheckURL(%s) = %v, want invalid_target with %q", tt.url, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("CheckURL(%s) = %v, which gives away the URL's secret", tt.url, err)
		}
	}
}

// A caller learns nothing about the names inside our network: what is there
// reads like what is not.
func TestCheckURLHidesInnerNames(t *testing.T) {
	resolver := hosts{"db.internal": {"10.0.0.5"}, "meta.internal": {"169.254.169.254"}, "local.internal": {"127.0.0.1"}, "mixed.internal": {"8.8.8.8", "fe80::1"}, "slow.internal": {"timeout"}, "empty.internal": {}}
	guard := New(Public, resolver)
	want := strings.ReplaceAll(problem.MessageOf(guard.CheckURL(t.Context(), "http://none.internal/")), "none", "")
	for name := range resolver {
		err := guard.CheckURL(t.Context(), "http://"+name+"/")
		first, _, _ := strings.Cut(name, ".")
		if got := strings.ReplaceAll(problem.MessageOf(err), first, ""); got != want || problem.CodeOf(err) != problem.InvalidTarget {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestCheckURLWhereInnerNamesAreMeant(t *testing.T) {
	guard := New(Private, hosts{"meta.internal": {"169.254.169.254"}, "slow.internal": {"timeout"}})
	for name, want := range map[string]string{
		"meta.internal": `"meta.internal" has a cloud metadata address`,
		"none.internal": `"none.internal" cannot be resolved; check the name`,
		"slow.internal": `"slow.internal" cannot be resolved now`,
	} {
		if err := guard.CheckURL(t.Context(), "http://"+name+"/"); !strings.Contains(problem.MessageOf(err), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

func TestCheckURLByPolicy(t *testing.T) {
	resolver := hosts{"localhost": {"127.0.0.1", "::1"}, "db.internal": {"10.0.0.5"}}
	for _, tt := range []struct {
		policy Policy
		url    string
		ok     bool
	}{
		{Loopback, "http://localhost:9000/", true},
		{Loopback, "http://db.internal/", false},
		{Private, "http://localhost:9000/", true},
		{Private, "http://db.internal/", true},
		{Private, "http://169.254.169.254/", false},
	} {
		if err := New(tt.policy, resolver).CheckURL(t.Context(), tt.url); (err == nil) != tt.ok {
			t.Errorf("policy %d: CheckURL(%s) = %v, want ok %v", tt.policy, tt.url, err, tt.ok)
		}
	}
}

func TestCheckURLKeepsTheCauseForTheLog(t *testing.T) {
	err := New(Public, hosts{"private.test": {"10.1.2.3"}}).CheckURL(t.Context(), "http://private.test/")
	if !strings.Contains(err.Error(), "10.1.2.3") || strings.Contains(problem.MessageOf(err), "10.1.2.3") {
		t.Errorf("got %q, want the address in the log's text and not in the message", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = New(Public, cancelled{}).CheckURL(ctx, "http://private.test/")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled in its chain", err)
	}
}

type cancelled struct{}

func (cancelled) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	return nil, ctx.Err()
}

func FuzzCheckURL(f *testing.F) {
	for _, s := range []string{"http://public.test/", "http://[::1%25lo]:80", "http://0x7f.1", "http://%31%32/", "x:", "http://a\x00b/"} {
		f.Add(s)
	}
	guard := New(Public, hosts{"public.test": {"93.184.216.34"}})
	f.Fuzz(func(t *testing.T, s string) {
		if err := guard.CheckURL(t.Context(), s); err != nil && problem.CodeOf(err) != problem.InvalidTarget {
			t.Errorf("CheckURL(%q) = %v, want invalid_target", s, err)
		}
	})
}

// Through a proxy no name is looked up, and what needs no look-up is refused as ever.
func TestCheckURLThroughAProxy(t *testing.T) {
	g := New(Public, hosts{}) // which knows no name
	g.ViaProxy()
	for url, want := range map[string]string{
		"https://unknown.test/hook":      "",
		"http://8.8.8.8/":                "",
		"https://10.0.0.1/":              "a private address",
		"https://[fd00:ec2::254]/":       "a cloud metadata address",
		"http://[::ffff:127.0.0.1]/":     "carries an IPv4 address",
		"http://localhost:8080/":         "a loopback address",
		"http://admin.LOCALHOST./":       "a loopback address",
		"http://2130706433/":             "is a number",
		"http://127.0.0.1./":             "is a number",
		"http://höst.test/":              "letters outside ASCII",
		"ftp://unknown.test/":            "must start with http://",
		"http://localhost.example.test/": "",
	} {
		err := g.CheckURL(t.Context(), url)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(problem.MessageOf(err), want) {
			t.Errorf("CheckURL(%q) = %v; want %q", url, err, want)
		}
	}
	loopback := New(Loopback, nil)
	loopback.ViaProxy()
	if err := loopback.CheckURL(t.Context(), "http://localhost:9000/"); err != nil {
		t.Errorf("where loopback is allowed: %v", err)
	}
}
