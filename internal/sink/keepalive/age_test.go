package keepalive

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// plain responds, and closes a connection when asked to.
func plain(r request) string {
	if r.closes {
		return okClose
	}
	return ok
}

// stubborn never closes a connection, even when asked to.
func stubborn(request) string { return ok }

// A name changes its address while connections to the old one are kept and in use.
func TestConnectionsDoNotOutliveDNS(t *testing.T) {
	cert := certificate(t)
	for name, tt := range map[string]struct {
		scheme string
		answer func(request) string
	}{
		"plain": {"http", plain}, "TLS": {"https", plain}, "a server that does not close": {"http", stubborn},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				before, after := &server{answer: tt.answer}, &server{answer: tt.answer}
				if tt.scheme == "https" {
					before.wrap = func(c net.Conn) net.Conn { return tls.Server(c, &tls.Config{Certificates: cert}) }
					after.wrap = before.wrap
				}
				now := before
				client := clientOf(t, &http.Transport{
					DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
						return now.dial(ctx, network, addr)
					},
					TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
				})
				call := func() {
					if err := post(t, client, tt.scheme); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Second)
				}
				call()
				now = after
				for range 129 {
					call()
				}
				old, moved := len(before.requests()), len(after.requests())
				if old > 62 || old+moved != 130 {
					t.Errorf("of 130 requests, one in a second, %d went to the old address and %d to the new one", old, moved)
				}
				if before.conns != 1 || after.conns > 5 {
					t.Errorf("there were %d and %d connections, want about one in a minute", before.conns, after.conns)
				}
				// If both sides of a TLS connection end it at once, each waits five seconds for
				// the other to read that: a pipe has no buffer.
				client.CloseIdleConnections()
				time.Sleep(10 * time.Second)
			})
		})
	}
}

func certificate(t *testing.T) []tls.Certificate {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return s.TLS.Certificates
}

func TestConnectionsOpenedTogetherAreReplacedOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const conns = 50
		s := &server{}
		client := s.client(t)
		round := func() int {
			before := s.conns
			s.answer = together(conns)
			postTogether(t, client, conns)
			return s.conns - before
		}
		if n := round(); n != conns {
			t.Fatalf("%d requests at a time made %d connections", conns, n)
		}
		most, all := 0, 0
		for range 65 {
			time.Sleep(time.Second)
			n := round()
			most, all = max(most, n), all+n
		}
		if most > conns/3 || all < conns {
			t.Errorf("in 65 s %d connections were replaced, up to %d within a second", all, most)
		}
	})
}

func TestAgeDoesNotTouchARequestInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: func(request) string { time.Sleep(5 * maxAge); return ok }}
		client := s.client(t)
		for range 2 {
			if err := post(t, client, "http"); err != nil {
				t.Error(err)
			}
		}
		// The second one is the last on the connection, and takes as long.
		if got := s.requests(); len(got) != 2 || got[1] != (request{conn: 1, nth: 2, closes: true}) {
			t.Errorf("the server saw %+v, want two requests on one connection", got)
		}
	})
}

// Connections beyond the bound of all Transports serve one request; the others are
// kept, and a closed one makes room.
func TestKeptConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound, conns = 3, 5
		count := NewConnections(bound)
		servers := []*server{{}, {}}
		var clients []*Transport
		for _, s := range servers {
			c := New(&http.Transport{DialContext: s.dial, MaxIdleConnsPerHost: conns}, count)
			t.Cleanup(c.CloseIdleConnections)
			clients = append(clients, c)
		}
		for i, s := range servers {
			all := together(conns)
			s.answer = func(r request) string { all(r); return plain(r) }
			postTogether(t, clients[i], conns)
		}
		synctest.Wait()
		if n := count.open.Load(); n != bound {
			t.Errorf("%d connections are kept, want %d", n, bound)
		}
		clients[0].CloseIdleConnections()
		synctest.Wait()
		servers[1].answer = plain
		for range 2 {
			if err := post(t, clients[1], "http"); err != nil {
				t.Error(err)
			}
		}
		if n := servers[1].conns; n != conns+1 || count.open.Load() != 1 {
			t.Errorf("%d connections were made and %d kept; want %d and the last one", n, count.open.Load(), conns+1)
		}
	})
}
