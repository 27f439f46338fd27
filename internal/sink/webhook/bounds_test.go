package webhook

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/sink"
)

// unending are responses with complete headers and a body that does not end.
var unending = map[string]string{
	"body that stops":          "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
	"body that never begins":   "HTTP/1.1 204 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	"body without a length":    "HTTP/1.1 200 OK\r\n\r\nabc",
	"chunk that stops":         "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
	"trailer that never comes": "HTTP/1.1 200 OK\r\nTrailer: Sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n",
	"rejection that hangs":     "HTTP/1.1 400 Bad Request\r\nContent-Length: 10\r\n\r\nabc",
	"upgrade":                  "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
}

// A receiver that has sent a status but never ends its body has the event. The
// call ends after a second, not after the timeout or never.
func TestResponseWithoutEnd(t *testing.T) {
	for name, text := range unending {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := inMemory(t, func(c net.Conn, r *bufio.Reader) {
					readRequest(r)
					_, _ = io.WriteString(c, text)
					_, _ = io.Copy(io.Discard, r)
				})
				began := time.Now()
				v := open(t, client, hookTo("http://example.com/")).Send(t.Context(), sample(), 1)
				want := sink.Delivered
				switch v.Status {
				case 400:
					want = sink.Rejected
				case 101:
					want = sink.Retry
				}
				if v.Status == 0 || v.Outcome != want {
					t.Errorf("Send = %+v, want the status to decide", v)
				}
				if took := time.Since(began); took > drainTimeout {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// Sending a byte from time to time extends neither that second nor the timeout of
// the call.
func TestResponseThatDribbles(t *testing.T) {
	for _, tt := range []struct{ answersAfter, want time.Duration }{
		{0, drainTimeout},
		{options().Timeout - drainTimeout/4, options().Timeout},
	} {
		synctest.Test(t, func(t *testing.T) {
			client := inMemory(t, func(c net.Conn, r *bufio.Reader) {
				readRequest(r)
				time.Sleep(tt.answersAfter)
				_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
				for err == nil {
					_, err = c.Write([]byte("x"))
					time.Sleep(100 * time.Millisecond)
				}
			})
			began := time.Now()
			v := open(t, client, hookTo("http://example.com/")).Send(t.Context(), sample(), 1)
			if took := time.Since(began); v.Outcome != sink.Delivered || took != tt.want {
				t.Errorf("Send = %+v after %v, want it delivered after %v", v, took, tt.want)
			}
		})
	}
}

// If the context ends while the body is read, as in a shutdown or a stop, the event
// still counts as delivered: otherwise it would be sent again.
func TestEndOfTheContextAfterTheStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := inMemory(t, func(c net.Conn, r *bufio.Reader) {
			readRequest(r)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
			_, _ = io.Copy(io.Discard, r)
		})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { synctest.Wait(); cancel() }() // when Send waits for the body
		v := open(t, client, hookTo("http://example.com/")).Send(ctx, sample(), 1)
		if want := (sink.Verdict{Outcome: sink.Delivered, Status: 200}); v != want {
			t.Errorf("Send = %+v, want %+v", v, want)
		}
	})
}

// Every wait before a response ends with the call's timeout.
func TestWaitsBeforeAResponseAreBounded(t *testing.T) {
	flood := func(delay time.Duration) func(net.Conn, *bufio.Reader) {
		return func(c net.Conn, r *bufio.Reader) {
			readRequest(r)
			var err error
			for err == nil {
				_, err = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
				time.Sleep(delay)
			}
		}
	}
	dribble := func(c net.Conn, r *bufio.Reader) {
		_, _ = r.Peek(1)
		go silent(c, r)
		for _, b := range []byte("\x16\x03\x03\x40\x00\x02" + strings.Repeat("\x00", 1000)) { // a ServerHello without end
			_, _ = c.Write([]byte{b})
			time.Sleep(time.Second)
		}
	}
	for name, tt := range map[string]struct {
		url    string
		serve  func(net.Conn, *bufio.Reader)
		reason string
	}{
		"interim answers":              {"http://example.com/", flood(0), "the response headers are too large"},
		"interim answers now and then": {"http://example.com/", flood(time.Second), "no response within 10s"},
		"TLS that does not begin":      {"https://example.com/", silent, "no response within 10s"},
		"TLS that dribbles":            {"https://example.com/", dribble, "no response within 10s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				v := open(t, inMemory(t, tt.serve), hookTo(tt.url)).Send(t.Context(), sample(), 1)
				if v.Outcome != sink.Retry || !strings.Contains(v.Reason, tt.reason) {
					t.Errorf("Send = %+v, want a Retry with %q", v, tt.reason)
				}
				if took := time.Since(began); took > options().Timeout {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// silent takes what comes and never responds.
func silent(_ net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) }

// Calls that began together and hang do not end together, and none of them early: neither
// those that wait for a response, nor those that wait for a TLS handshake.
func TestTimeLimitsAreSpread(t *testing.T) {
	for _, target := range []string{"http://example.com/", "https://example.com/"} {
		synctest.Test(t, func(t *testing.T) {
			o := options()
			o.Spread = time.Second
			c := inMemory(t, silent)
			c.spread = o.Spread
			silently := c.newTransport
			c.newTransport = func() *http.Transport {
				transport := silently()
				transport.TLSHandshakeTimeout = newTransport(o).TLSHandshakeTimeout
				return transport
			}
			s := open(t, c, hookTo(target))
			took := make(chan time.Duration, 64)
			for range cap(took) {
				go func() {
					began := time.Now()
					s.Send(t.Context(), sample(), 1)
					took <- time.Since(began)
				}()
			}
			ends := map[time.Duration]int{}
			for range cap(took) {
				d := <-took
				if d < o.Timeout || d > o.Timeout+o.Spread {
					t.Errorf("%s: a call ended after %v", target, d)
				}
				ends[d.Truncate(100*time.Millisecond)]++
			}
			if len(ends) < 8 { // of 10
				t.Errorf("%s: 64 calls ended at %v", target, ends)
			}
		})
	}
}
