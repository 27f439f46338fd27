// Package keepalive sends HTTP requests over kept-alive connections and limits
// what http.Transport does not: how long a connection is used, and how often a
// request is repeated.
//
// A connection outlives the DNS answer it was dialled with. So after about a
// minute the next request on it is its last and has the header "Connection:
// close": the server closes the connection with its response, and the following
// request resolves the name again. No request fails or is repeated because of
// this. Each connection has a different age limit, so that those opened together
// are not replaced together.
//
// A kept connection may turn out to be closed only when it is used.
// http.Transport then repeats an idempotent request on the next kept connection,
// which is often closed too, and the server may see every repeat. Here a request
// is repeated once, on a new connection, and only if no byte of a response has
// arrived. Only requests that have GetBody are repeated.
//
// Each integration has a Transport, so that no other one meets its closed or slow
// connections. Connections bounds how many of them all keep open between requests.
package keepalive

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// maxAge is the maximum age of a connection before its last request. A connection
// may be idle for up to the idle timeout before that request.
const maxAge = time.Minute

// lifetime returns a random age limit, so that connections are not replaced
// together.
func lifetime() time.Duration { return maxAge - rand.N(maxAge/3) }

// Connections counts the open connections of several Transports. Those that are
// dialled beyond its bound are closed after one request: a server that does not
// close them then is not used again, and they end with the idle timeout. It is safe
// for concurrent use.
type Connections struct {
	most int64
	open atomic.Int64
}

// NewConnections returns a bound of the connections that are kept.
func NewConnections(most int) *Connections { return &Connections{most: int64(most)} }

// wrap returns a dialled connection with its age limit.
func (cs *Connections) wrap(c net.Conn) *conn {
	wrapped := &conn{Conn: c, counted: cs, expires: time.Now().Add(lifetime())}
	if cs.open.Add(1) > cs.most {
		wrapped.expires = time.Time{}
	}
	return wrapped
}

// Transport is an http.RoundTripper over an http.Transport. It is safe for
// concurrent use.
type Transport struct {
	http  *http.Transport
	calls sync.Pool // of *call
}

// New returns a Transport over t, which must use only HTTP/1 and dial with
// DialContext, and whose connections count. The caller must not use t directly
// afterwards.
func New(t *http.Transport, count *Connections) *Transport {
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return count.wrap(c), nil
	}
	return &Transport{http: t, calls: sync.Pool{New: newCall}}
}

// CloseIdleConnections closes idle connections.
func (t *Transport) CloseIdleConnections() { t.http.CloseIdleConnections() }

// RoundTrip implements http.RoundTripper, except that it may add the header
// Connection to the request.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, c := req.Context(), t.calls.Get().(*call)
	if httptrace.ContextClientTrace(ctx) == nil {
		return t.send(&traced{ctx, c.traced}, c, req)
	}
	own := c.trace // WithClientTrace adds the caller's hooks to it
	return t.send(httptrace.WithClientTrace(ctx, &own), c, req)
}

// Send is RoundTrip with a separate context, which saves a copy of the request. It calls no
// trace in the context, which saves looking through all those above it.
func (t *Transport) Send(ctx context.Context, req *http.Request) (*http.Response, error) {
	c := t.calls.Get().(*call)
	return t.send(&traced{ctx, c.traced}, c, req)
}

func (t *Transport) send(ctx context.Context, c *call, req *http.Request) (*http.Response, error) {
	c.header, c.repeatable, c.reused = req.Header, req.GetBody != nil, false
	c.responded.Store(false)
	once := req.WithContext(ctx)
	once.GetBody = nil // otherwise http.Transport repeats it
	res, err := t.http.RoundTrip(once)
	if err == nil {
		c.header = nil
		t.calls.Put(c)
		return res, nil
	}
	if !c.repeatable || !c.reused || c.responded.Load() || ctx.Err() != nil {
		return nil, err // c may still be in use
	}
	return t.repeat(ctx, req)
}

// repeat sends the request on a new connection, which is not kept.
func (t *Transport) repeat(ctx context.Context, req *http.Request) (*http.Response, error) {
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	again := req.WithContext(ctx)
	again.Body, again.GetBody = body, nil
	fresh := t.http.Clone()
	fresh.DisableKeepAlives = true
	return fresh.RoundTrip(again)
}

// conn is a connection with an age limit. One request at a time uses it.
type conn struct {
	net.Conn
	expires time.Time
	last    bool // the server was asked to close it
	counted *Connections
	closed  atomic.Bool
}

// Close closes the connection.
func (c *conn) Close() error {
	if !c.closed.Swap(true) {
		c.counted.open.Add(-1)
	}
	return c.Conn.Close()
}

// call is what is known about a request in progress.
type call struct {
	trace      httptrace.ClientTrace // never changed: http.Transport reads it until the response's body is read
	traced     context.Context       // with the trace, and nothing else
	header     http.Header
	repeatable bool
	reused     bool
	responded  atomic.Bool
}

func newCall() any {
	c := new(call)
	c.trace.GotConn = c.gotConn
	c.trace.GotFirstResponseByte = func() { c.responded.Store(true) }
	c.traced = httptrace.WithClientTrace(context.Background(), &c.trace)
	return c
}

// traced is a context with the trace of a call.
type traced struct {
	context.Context
	trace context.Context
}

// Value implements context.Context.
func (t *traced) Value(key any) any {
	if v := t.trace.Value(key); v != nil {
		return v
	}
	return t.Context.Value(key)
}

var closing = []string{"close"}

// gotConn runs when the request has its connection and nothing is written yet.
func (c *call) gotConn(info httptrace.GotConnInfo) {
	c.reused = info.Reused
	used := limited(info.Conn)
	if used == nil || time.Now().Before(used.expires) {
		return
	}
	if used.last && c.repeatable {
		// The server kept the connection open although it was asked to close it.
		// Close it before anything is sent; the request is repeated on a new one.
		_ = used.Close()
		return
	}
	used.last = true
	c.header["Connection"] = closing
}

func limited(c net.Conn) *conn {
	if over, ok := c.(*tls.Conn); ok {
		c = over.NetConn()
	}
	used, _ := c.(*conn)
	return used
}
