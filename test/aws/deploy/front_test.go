package deploy

import (
	"bytes"
	"cmp"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// front is the endpoint of all AWS services, before the emulator. It tells the emulator
// that calls came by TLS, which the template's bucket and queue policies demand, and
// keeps what was refused for a missing permission.
type front struct {
	URL string

	target   atomic.Pointer[url.URL]
	mu       sync.Mutex
	denied   []string
	troubles []string // failures of the emulator, for the report of a test that failed
}

func listen(t *testing.T) *front {
	f := &front{}
	f.URL = serve(t, os.Getenv("SLUICE_DEPLOY_LISTEN"), &httputil.ReverseProxy{
		Transport: &inTurn{transport: transport(t), free: make(chan struct{}, inFlight)},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(f.target.Load())
			r.Out.Host = r.In.Host // it is signed
			r.Out.Header.Set("X-Forwarded-Proto", "https")
		},
		ModifyResponse: f.note,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			f.trouble(r, err.Error())
			unreachable(w, r, err)
		},
	})
	return f
}

// inFlight is the number of calls that the emulator gets at a time. It is one process of
// Python: more only make each of them slower, up to the limit that the functions set.
const inFlight = 8

// inTurn makes no more calls at a time than are free.
type inTurn struct {
	transport http.RoundTripper
	free      chan struct{}
}

// RoundTrip waits for its turn, and returns once the response has begun.
func (i *inTurn) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case i.free <- struct{}{}:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	defer func() { <-i.free }()
	return i.transport.RoundTrip(r)
}

func (f *front) trouble(r *http.Request, what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.troubles = append(f.troubles, time.Now().Format(time.TimeOnly)+" "+r.Header.Get("X-Amz-Target")+" "+r.Method+" "+r.URL.Path+": "+what)
}

// Troubles returns how the emulator failed.
func (f *front) Troubles() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.troubles)
}

// serve serves at an address, or a free port of loopback, until the end of the test.
func serve(t *testing.T, at string, h http.Handler) string {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", cmp.Or(at, "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: ln, Config: &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}}
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections() // pulls may still wait
		server.Close()
	})
	return server.URL
}

// transport has connections that end before the emulator ends them, after 75 s.
func transport(t *testing.T) *http.Transport {
	tr := &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// unreachable responds to calls that got no response; the SDKs try again.
func unreachable(w http.ResponseWriter, _ *http.Request, _ error) {
	w.WriteHeader(http.StatusBadGateway)
}

// note keeps a response that denies access.
func (f *front) note(res *http.Response) error {
	if res.StatusCode < http.StatusBadRequest {
		return nil
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	if res.StatusCode >= http.StatusInternalServerError {
		f.trouble(res.Request, res.Status+" "+string(body))
	}
	if deniesAccess(string(body)) {
		call := res.Request.Header.Get("X-Amz-Target") + " " + res.Request.Method + " " + res.Request.URL.Path
		f.mu.Lock()
		defer f.mu.Unlock()
		f.denied = append(f.denied, call+": "+string(body))
	}
	return nil
}

// Denied returns what was denied since the last call of Denied.
func (f *front) Denied() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	denied := f.denied
	f.denied = nil
	return denied
}

// deniesAccess reports whether a text has the code of a missing permission, in any of the
// services' spellings.
func deniesAccess(text string) bool {
	return strings.Contains(text, "AccessDenied") || strings.Contains(text, "is not authorized to perform")
}

// listenAPI serves the HTTP API with this id: the emulator knows it by its host, below
// localhost, which Go does not resolve.
func listenAPI(t *testing.T, target *url.URL, id string) string {
	return serve(t, "", &httputil.ReverseProxy{
		Transport: transport(t),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = id + ".execute-api.localhost"
			// At the gateway {proxy+} also matches nothing, in the emulator it does not.
			if r.In.URL.Path == "/console/" {
				r.Out.URL.Path += "index.html"
			}
		},
		ErrorHandler: unreachable,
	})
}
