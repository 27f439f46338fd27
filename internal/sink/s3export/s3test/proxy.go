package s3test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// Cut is where a proxy cuts a connection.
type Cut int

// The places of a Cut.
const (
	Nowhere     Cut = iota
	BeforeBody      // the store never sees the request
	InBody          // the store gets part of it
	AfterStored     // the store has handled the request, and the response is lost
	InResponse      // after the headers of the response
)

// Proxy is a reverse proxy in front of a store; it does what proxies may do to a
// request.
type Proxy struct {
	// Rewrite changes a request's headers; nil: the function Rewrite.
	Rewrite func(http.Header)
	// NoExpect, unless nil, is called for a request that expects a 100; the
	// response is then 417.
	NoExpect func()
	// Cut returns where to cut the connection of a request; nil: nowhere.
	Cut func(*http.Request) Cut
}

// Rewrite replaces, drops and adds headers as proxies do.
func Rewrite(h http.Header) {
	h.Set("Accept-Encoding", strings.TrimPrefix(h.Get("Accept-Encoding")+",gzip(gfe)", ","))
	h.Set("User-Agent", "proxy/1.0")
	h.Set("Via", "1.1 proxy")
	h.Set("X-Forwarded-For", "192.0.2.7")
	h.Set("X-Forwarded-Proto", "https")
	h.Set("Forwarded", "for=192.0.2.7")
	h.Set("Cache-Control", "max-age=0")
	h.Set("X-Amzn-Trace-Id", "Root=1-0-0")
	for _, name := range []string{"Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "Content-Md5", "Expect", "Connection"} {
		h.Del(name)
	}
}

// Serve starts the proxy on loopback and returns its URL.
func (p Proxy) Serve(t testing.TB, store http.Handler) string {
	t.Helper()
	behind := serve(t, store)
	target, err := url.Parse(behind)
	if err != nil {
		t.Fatal(err)
	}
	rewrite := p.Rewrite
	if rewrite == nil {
		rewrite = Rewrite
	}
	pass := &httputil.ReverseProxy{
		// The Host stays as the client sent it: it is signed.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, r.In.Host
			rewrite(r.Out.Header)
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:     slog.NewLogLogger(slog.DiscardHandler, 0),
	}
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.NoExpect != nil && r.Header.Get("Expect") != "" {
			p.NoExpect()
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		cut := Nowhere
		if p.Cut != nil {
			cut = p.Cut(r)
		}
		forward(pass, w, r, cut)
	}))
}

func forward(pass http.Handler, w http.ResponseWriter, r *http.Request, cut Cut) {
	switch cut {
	case BeforeBody:
		panic(http.ErrAbortHandler)
	case InBody:
		_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2)
		panic(http.ErrAbortHandler)
	case AfterStored:
		pass.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case InResponse:
		response := httptest.NewRecorder()
		pass.ServeHTTP(response, r)
		for name, values := range response.Header() {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Length", "65536") // none of it is sent
		w.WriteHeader(response.Code)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	default:
		pass.ServeHTTP(w, r)
	}
}

func serve(t testing.TB, h http.Handler) string {
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}
