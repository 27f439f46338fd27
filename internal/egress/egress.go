// Package egress is how calls to receivers and to customers' S3 stores leave: dialled
// behind the guard, or through the operator's proxy, and which certificate authorities
// they trust. Proxies of the environment (HTTP_PROXY) are never used.
//
// A proxy resolves names and dials in our place, so the guard sees no address: what a
// name may lead to is for the proxy's rules. Only what a URL says itself is checked
// here, its literal addresses and localhost, on every call.
package egress

import (
	"context"
	"crypto/x509"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/netguard"
	"github.com/sluicehq/sluice/internal/settings"
)

// Route is the way that calls take. It is safe for concurrent use.
type Route struct {
	Guard *netguard.Guard // required
	Proxy *url.URL        // nil: none
	Roots *x509.CertPool  // nil: the system's
}

// Open returns the route of the settings, and reads the file of certificates that they
// name. If there is a proxy, the guard checks no names from now on.
func Open(guard *netguard.Guard, s *settings.Settings) (Route, error) {
	proxy, err := s.Proxy()
	if err != nil {
		return Route{}, err
	}
	if proxy != nil {
		guard.ViaProxy()
	}
	roots, err := readRoots(s.CAFile)
	return Route{Guard: guard, Proxy: proxy, Roots: roots}, err
}

// proxyDialTimeout limits the connection to the proxy. It is shorter than what a receiver
// may take by default: a proxy that is away must not be taken for a slow receiver.
const proxyDialTimeout = 5 * time.Second

// Set makes a transport take the route. Its TLSClientConfig must not be nil.
func (r Route) Set(t *http.Transport) {
	t.TLSClientConfig.RootCAs = r.Roots
	if r.Proxy == nil {
		t.DialContext = spread(r.Guard.Dialer())
		return
	}
	t.DialContext = spread(&net.Dialer{Timeout: proxyDialTimeout}) // the proxy only
	t.Proxy = r.checked
	t.OnProxyConnectResponse = connected
}

// spread returns a dialer's DialContext whose time limit exceeds that of the dialer by up to
// a twentieth, at random: thousands of calls to hosts that drop packets must not all end
// together (settings.CallSpread).
func spread(d *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		one := *d
		one.Timeout += rand.N(d.Timeout / 20)
		return one.DialContext(ctx, network, address)
	}
}

// checked returns the proxy for a request whose URL may be called.
func (r Route) checked(req *http.Request) (*url.URL, error) {
	if err := r.Guard.CheckLiteral(req.URL.Hostname()); err != nil {
		return nil, err
	}
	return r.Proxy, nil
}

// connected fails if the proxy did not connect to the target.
func connected(_ context.Context, _ *url.URL, _ *http.Request, res *http.Response) error {
	if res.StatusCode == http.StatusOK {
		return nil
	}
	return refusal(res)
}

// Check returns an error if a response to a request is the proxy's own, as it says itself.
// One that says nothing cannot be told from the target's, unless it is to CONNECT.
func (r Route) Check(req *http.Request, res *http.Response) error {
	if r.Proxy == nil || req.URL.Scheme != "http" || !ofProxy(res) {
		return nil
	}
	return refusal(res)
}

// quoted matches the strings in a structured header (RFC 9651), as in details="a, b".
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// ofProxy reports whether a proxy made a response itself. Proxy-Status (RFC 9209) has the
// proxy that is closest to us last.
func ofProxy(res *http.Response) bool {
	if res.StatusCode == http.StatusProxyAuthRequired {
		return true
	}
	for _, name := range []string{"X-Squid-Error", "X-Smokescreen-Error"} {
		if res.Header.Get(name) != "" {
			return true
		}
	}
	status := quoted.ReplaceAllString(strings.Join(res.Header.Values("Proxy-Status"), ","), "")
	_, params, _ := strings.Cut(status[strings.LastIndex(status, ",")+1:], ";")
	return strings.Contains(";"+strings.ReplaceAll(params, " ", ""), ";error=")
}

func refusal(res *http.Response) error {
	asks := res.StatusCode == http.StatusProxyAuthRequired && res.Header.Get("Proxy-Authenticate") != ""
	return &netguard.ProxyError{Status: res.StatusCode, AsksCredentials: asks}
}
