package keepalive

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

const (
	ok      = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	okBody  = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n!"
	okClose = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)

// request is a request as the server sees it.
type request struct {
	conn   int // number of its connection, from 1
	nth    int // number on that connection, from 1
	closes bool
}

// server is an in-memory server. It sends its response unchanged, and closes the
// connection if the response says so or is incomplete.
type server struct {
	answer func(request) string
	wrap   func(net.Conn) net.Conn // nil: nothing

	mu    sync.Mutex
	conns int
	seen  []request
}

func (s *server) dial(context.Context, string, string) (net.Conn, error) {
	client, conn := net.Pipe()
	s.mu.Lock()
	s.conns++
	n := s.conns
	s.mu.Unlock()
	if s.wrap != nil {
		conn = s.wrap(conn)
	}
	go s.serve(conn, n)
	return client, nil
}

func (s *server) serve(conn net.Conn, n int) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for nth := 1; ; nth++ {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		got := request{conn: n, nth: nth, closes: req.Close}
		s.mu.Lock()
		s.seen = append(s.seen, got)
		s.mu.Unlock()
		answer := s.answer(got)
		if _, err := io.WriteString(conn, answer); err != nil || answer != ok && answer != okBody {
			return
		}
	}
}

// requests returns the requests since its last call.
func (s *server) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen = nil
	return seen
}

// client returns a Transport that connects to the server.
func (s *server) client(t *testing.T) *Transport {
	return clientOf(t, &http.Transport{DialContext: s.dial, MaxIdleConnsPerHost: 1000})
}

func clientOf(t *testing.T, inner *http.Transport) *Transport {
	c := New(inner, NewConnections(1000))
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// post sends a request with a repeatable body.
func post(t *testing.T, c http.RoundTripper, scheme string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, scheme+"://example.com/", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	return send(c, req)
}

func send(c http.RoundTripper, req *http.Request) error {
	res, err := c.RoundTrip(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, res.Body)
	return res.Body.Close()
}

// postTogether sends n concurrent requests, each on its own connection.
func postTogether(t *testing.T, c http.RoundTripper, n int) {
	t.Helper()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if err := post(t, c, "http"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// together returns a response that is sent once n requests have arrived.
func together(n int) func(request) string {
	var mu sync.Mutex
	here, all := 0, make(chan struct{})
	return func(request) string {
		mu.Lock()
		wait := all
		if here++; here == n {
			here, all = 0, make(chan struct{})
			close(wait)
		}
		mu.Unlock()
		<-wait
		return ok
	}
}
