package webhook

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/sink"
)

// countingReceiver starts a receiver that counts its connections.
func countingReceiver(t testing.TB, h http.HandlerFunc) (url string, conns *atomic.Int64) {
	conns = new(atomic.Int64)
	server := httptest.NewUnstartedServer(h)
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, conns
}

func TestConnectionsAreReused(t *testing.T) {
	for name, size := range map[string]int{"no body": 0, "small body": 200, "largest body": maxBodyBytes} {
		url, conns := countingReceiver(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = w.Write(make([]byte, size))
		})
		sender := open(t, newClient(t, nil), hookTo(url))
		for range 50 {
			if v := sender.Send(t.Context(), sample(), 1); v.Outcome != sink.Delivered {
				t.Fatalf("%s: Send = %+v", name, v)
			}
		}
		if n := conns.Load(); n != 1 {
			t.Errorf("%s: 50 calls in a row made %d connections, want 1", name, n)
		}
	}
}

// An integration with a full window needs one connection per call, and all of them are
// kept.
func TestConnectionsOfAFullWindowAreKept(t *testing.T) {
	const calls = 160
	var here sync.WaitGroup
	url, conns := countingReceiver(t, func(http.ResponseWriter, *http.Request) {
		here.Done()
		here.Wait() // until all calls of the round are here
	})
	sender := open(t, newClient(t, func(o *Options) { o.InFlight = calls }), hookTo(url))
	for range 3 {
		here.Add(calls)
		var sent sync.WaitGroup
		for range calls {
			sent.Go(func() {
				if v := sender.Send(t.Context(), sample(), 1); v.Outcome != sink.Delivered {
					t.Errorf("Send = %+v", v)
				}
			})
		}
		sent.Wait()
	}
	// A call may dial although a connection becomes free, so there can be a few more
	// connections than concurrent calls; without keep-alive there would be 480.
	if n := conns.Load(); n > calls*3/2 {
		t.Errorf("3 rounds of %d calls made %d connections", calls, n)
	}
}

// A receiver that silently closes idle connections must not cause a Retry: the call
// is repeated on another connection.
func TestConnectionClosedWhileIdle(t *testing.T) {
	var requests atomic.Int64
	url := rawReceiver(t, func(c net.Conn, r *bufio.Reader) {
		requests.Add(1)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		readRequest(r) // the next call on this connection gets no response
	})
	sender := open(t, newClient(t, nil), hookTo(url))
	for i := range 5 {
		if v := sender.Send(t.Context(), sample(), 1); v.Outcome != sink.Delivered {
			t.Errorf("call %d: Send = %+v, want it delivered over a fresh connection", i+1, v)
		}
	}
	if n := requests.Load(); n != 5 {
		t.Errorf("%d calls were answered, want 5", n)
	}
}

// If a receiver or its proxy closes every kept connection, each call is repeated
// once, not once per connection.
func TestOneAttemptIsTwoCallsAtMost(t *testing.T) {
	const kept = 40
	var calls atomic.Int64
	var here sync.WaitGroup
	here.Add(kept)
	url := rawReceiver(t, func(c net.Conn, r *bufio.Reader) {
		if calls.Add(1) <= kept {
			here.Done()
			here.Wait() // so that each call has a connection to itself
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		if readRequest(r) {
			calls.Add(1)
		}
	})
	sender := open(t, newClient(t, nil), hookTo(url))
	var sent sync.WaitGroup
	for range kept {
		sent.Go(func() { sender.Send(t.Context(), sample(), 1) })
	}
	sent.Wait()
	for i := range 10 {
		before := calls.Load()
		v := sender.Send(t.Context(), sample(), 1)
		if n := calls.Load() - before; v.Outcome != sink.Delivered || n != 2 {
			t.Errorf("attempt %d: %d calls, %+v; want it delivered by the second one", i+1, n, v)
		}
	}
}

func TestEndlessBodyIsCutOff(t *testing.T) {
	sent := make(chan int64, 1)
	url := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		n, _ := io.Copy(w, io.LimitReader(zeros{}, 1<<30))
		sent <- n
	})
	v := open(t, newClient(t, nil), hookTo(url)).Send(t.Context(), sample(), 1)
	if v.Outcome != sink.Delivered {
		t.Errorf("Send = %+v, want the status to decide", v)
	}
	if n := <-sent; n > 64<<20 { // what socket buffers can hold
		t.Errorf("the receiver could send %d bytes", n)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestSendIsSafeForConcurrentUse(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]string{}
	url := receiver(t, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		seen[r.Header.Get("webhook-id")+r.Header.Get("webhook-signature")] = string(b)
		mu.Unlock()
	})
	sender := open(t, newClient(t, nil), hookTo(url))
	var events sync.WaitGroup
	for i := range 100 {
		id := "0195f3a0-7b1c-7c3d-8e9f-0000000000" + string(rune('0'+i/10)) + string(rune('0'+i%10))
		events.Go(func() {
			e := event.Draft{ID: id, Name: "order.created", Payload: []byte(`{"n":"` + id + `"}`)}.Stamp("acme", noon)
			sender.Send(t.Context(), &e, 1)
			mu.Lock()
			defer mu.Unlock()
			if got := seen[id+sender.signatures(noon, id, "1772366400", e.Body)]; got != string(e.Body) {
				t.Errorf("event %s arrived as %q", id, got)
			}
		})
	}
	events.Wait()
}

// writes counts the writes of a connection.
type writes struct {
	net.Conn
	n *atomic.Int64
}

func (w writes) Write(p []byte) (int, error) {
	w.n.Add(1)
	return w.Conn.Write(p)
}

func TestSmallCallIsOneWrite(t *testing.T) {
	url := receiver(t, sink200)
	n := new(atomic.Int64)
	client := newClientOver(t, func(transport *http.Transport) {
		dial := transport.DialContext
		transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			return writes{conn, n}, err
		}
	})
	sender := open(t, client, hookTo(url))
	for range 10 {
		sender.Send(t.Context(), sample(), 1)
	}
	if n.Load() != 10 {
		t.Errorf("10 calls were %d writes, want headers and body in one", n.Load())
	}
}

// Package keepalive tests the age of connections; this tests the wiring.
func TestCallsFollowTheNameOfTheReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		moved, old := false, 0
		client := newClientOver(t, func(transport *http.Transport) {
			transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
				mine, other := net.Pipe()
				isOld := !moved
				go func() {
					r := bufio.NewReader(other)
					for readRequest(r) {
						if isOld && moved {
							old++
						}
						_, _ = io.WriteString(other, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
					}
				}()
				return mine, nil
			}
		})
		sender := open(t, client, hookTo("http://example.com/"))
		for range 130 {
			if v := sender.Send(t.Context(), sample(), 1); v.Outcome != sink.Delivered {
				t.Errorf("Send = %+v", v)
			}
			moved = true
			time.Sleep(time.Second)
		}
		if old > 61 {
			t.Errorf("%d of 129 calls went to the old address", old)
		}
	})
}

// Two tenants with one host, as of a shared platform: what one of them does to its
// connections does not reach the other.
func TestNoConnectionIsSharedBetweenIntegrations(t *testing.T) {
	url, conns := countingReceiver(t, func(http.ResponseWriter, *http.Request) {})
	client := newClient(t, nil)
	one, other := open(t, client, hookTo(url)), open(t, client, hookTo(url))
	for _, s := range []*Sender{one, other, one, other} {
		if v := s.Send(t.Context(), sample(), 1); v.Outcome != sink.Delivered {
			t.Errorf("Send = %+v", v)
		}
	}
	if n := conns.Load(); n != 2 {
		t.Errorf("two integrations have %d connections, want one each", n)
	}
	one.Close() // it is stopped
	for range 2 {
		other.Send(t.Context(), sample(), 1)
	}
	if n := conns.Load(); n != 2 {
		t.Errorf("%d connections after another integration was closed, want 2", n)
	}
}

// A sender that is closed gives its connections back: the idle ones at once, the others
// after their calls.
func TestClosedSenderKeepsNoConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open64 atomic.Int64
		answer := make(chan struct{})
		client := inMemory(t, func(c net.Conn, r *bufio.Reader) {
			open64.Add(1)
			defer open64.Add(-1)
			for readRequest(r) {
				<-answer
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		})
		sender := open(t, client, hookTo("http://127.0.0.1/"))
		go sender.Send(t.Context(), sample(), 1)
		go sender.Send(t.Context(), sample(), 1)
		synctest.Wait()
		answer <- struct{}{}
		synctest.Wait() // one is idle, one in use
		sender.Close()
		synctest.Wait()
		if n := open64.Load(); n != 1 {
			t.Errorf("%d connections after Close, want that of the call in flight", n)
		}
		answer <- struct{}{}
		synctest.Wait()
		if n := open64.Load(); n != 0 {
			t.Errorf("%d connections after the last call, want none", n)
		}
	})
}

// What our side lacks is no failure of the receiver.
func TestCallWithoutADescriptorIsUnsent(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL} {
		client := newClientOver(t, func(transport *http.Transport) {
			transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", errno)}
			}
		})
		v := open(t, client, hookTo("http://127.0.0.1/")).Send(t.Context(), sample(), 1)
		if v.Outcome != sink.Unsent || !strings.Contains(v.Reason, "has no free") {
			t.Errorf("%v: Send = %+v, want it unsent with what is lacking", errno, v)
		}
	}
}
