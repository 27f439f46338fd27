package keepalive

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// closesKept answers the first request of each connection and reads the next.
func closesKept(r request) string {
	if r.nth > 1 {
		return ""
	}
	return ok
}

// keep makes the client open and keep n connections to s.
func keep(t *testing.T, s *server, c *Transport, n int) {
	t.Helper()
	answer := s.answer
	s.answer = together(n)
	postTogether(t, c, n)
	synctest.Wait()
	if s.requests(); s.conns != n {
		t.Fatalf("%d connections are kept, want %d", s.conns, n)
	}
	s.answer = answer
}

func TestRequestIsRepeatedOnceOnAFreshConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: closesKept}
		client := s.client(t)
		keep(t, s, client, 100)
		for i := range 100 {
			if err := post(t, client, "http"); err != nil {
				t.Errorf("request %d: %v, want it to succeed on a fresh connection", i, err)
			}
			got := s.requests()
			if len(got) != 2 || got[0].nth != 2 || got[1].nth != 1 {
				t.Fatalf("request %d: the server saw %+v, want it twice, the second time first of its connection", i, got)
			}
		}
	})
}

func TestRepeatIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: func(request) string { return "" }}
		client := s.client(t)
		keep(t, s, client, 10)
		err := post(t, client, "http")
		if got := s.requests(); len(got) != 2 || err == nil {
			t.Errorf("the server saw %+v, error %v; want the request twice and its failure", got, err)
		}
		client.CloseIdleConnections()
		err = post(t, client, "http")
		if got := s.requests(); len(got) != 1 || err == nil {
			t.Errorf("first of its connection: the server saw %+v, error %v; want the request once and its failure", got, err)
		}
	})
}

func TestNoRepeatAfterAByteOfAResponse(t *testing.T) {
	for _, part := range []string{"H", "HTTP/1.1 200 OK\r\nContent-", "HTTP/1.1 103 Early Hints\r\n\r\n", "no HTTP\r\n\r\n"} {
		synctest.Test(t, func(t *testing.T) {
			s := &server{answer: func(request) string { return part }}
			client := s.client(t)
			keep(t, s, client, 10)
			err := post(t, client, "http")
			if got := s.requests(); len(got) != 1 || err == nil {
				t.Errorf("after %q: the server saw %+v, error %v; want the request once and its failure", part, got, err)
			}
		})
	}
}

func TestNoRepeatWithoutGetBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: closesKept}
		client := s.client(t)
		keep(t, s, client, 10)
		body := io.MultiReader(strings.NewReader("body"))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://example.com/", body)
		if err != nil {
			t.Fatal(err)
		}
		err = send(client, req)
		if got := s.requests(); len(got) != 1 || err == nil {
			t.Errorf("the server saw %+v, error %v; want the request once and its failure", got, err)
		}
	})
}

// The trace that a caller has in its context is called for its own request alone.
func TestTraceOfACallerEndsWithItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: plain}
		client := clientOf(t, &http.Transport{DialContext: s.dial})
		traced := func() (calls *atomic.Int32) {
			calls = new(atomic.Int32)
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { calls.Add(1) }})
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://receiver.test/", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			res, err := client.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			return calls
		}
		first := traced()
		for range 20 {
			if n := traced().Load(); n != 1 {
				t.Fatalf("a caller's trace was called %d times for its request, want once", n)
			}
		}
		if n := first.Load(); n != 1 {
			t.Errorf("the first caller's trace was called %d times, want once", n)
		}
	})
}

// What dials may need what a caller has put into its context.
func TestDialsSeeTheValuesOfTheContext(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: plain}
		seen := make(chan any, 1)
		client := clientOf(t, &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			seen <- ctx.Value(key{})
			return s.dial(ctx, network, addr)
		}})
		req, err := http.NewRequest(http.MethodPost, "http://receiver.test/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Send(context.WithValue(t.Context(), key{}, "value"), req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if value := <-seen; value != "value" {
			t.Errorf("a dial saw %v", value)
		}
	})
}

// http.Transport looks at a request's trace until the response's body is read. The
// race detector sees a second request that uses the same one.
func TestTraceIsNotReusedWhileAResponseIsRead(t *testing.T) {
	s := &server{answer: func(request) string { return okBody }}
	client := s.client(t)
	for range 50 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://receiver.test/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		unread, err := client.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		var read sync.WaitGroup
		read.Go(func() {
			_, _ = io.Copy(io.Discard, unread.Body)
			_ = unread.Body.Close()
		})
		if err := post(t, client, "http"); err != nil {
			t.Fatal(err)
		}
		read.Wait()
	}
}
