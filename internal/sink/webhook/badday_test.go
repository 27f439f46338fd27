package webhook

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log" //nolint:depguard // what net/http writes to
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/netguard"
	"github.com/sluicehq/sluice/internal/sink"
)

// echo is everything a receiver learns; a malicious one sends it back wherever it
// can.
const echo = "Bearer " + apiKey + " " + signingSecret + " " + urlToken

// badDay is a receiver, or the lack of one, that returns no usable response.
type badDay struct {
	name   string
	target func(t *testing.T) string
	change func(*Options)
	reason string // of the Retry
}

func raw(text string) func(*testing.T) string {
	return func(t *testing.T) string { return rawReceiver(t, answer(text)) }
}

func fixed(url string) func(*testing.T) string { return func(*testing.T) string { return url } }

func badDays() []badDay {
	hang := func(t *testing.T) string {
		return rawReceiver(t, func(c net.Conn, _ *bufio.Reader) { _, _ = io.Copy(io.Discard, c) })
	}
	trickle := func(t *testing.T) string {
		return rawReceiver(t, func(c net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nEcho: "+echo)
			_, _ = io.Copy(io.Discard, c)
		})
	}
	stranger := func(t *testing.T) string {
		server := httptest.NewUnstartedServer(http.NotFoundHandler())
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.URL
	}
	return []badDay{
		{"hangs", hang, within(50 * time.Millisecond), "no response within 50ms"},
		{"slow headers", trickle, within(50 * time.Millisecond), "no response within 50ms"},
		{"closes", raw(""), nil, "the connection was closed before a response arrived"},
		{"resets", func(t *testing.T) string {
			return rawReceiver(t, func(c net.Conn, _ *bufio.Reader) { _ = c.(*net.TCPConn).SetLinger(0) })
		}, nil, "connection reset by the target"},
		{"nothing listens", func(t *testing.T) string {
			l, _ := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			defer l.Close()
			return "http://" + l.Addr().String()
		}, nil, "connection refused"},
		{"not HTTP", raw(echo + "\r\n\r\n"), nil, "the response is not valid HTTP"},
		{"invalid status line", raw("HTTP/1.1 " + echo + "\r\n\r\n"), nil, "the response is not valid HTTP"},
		{"status of four digits", raw("HTTP/1.1 2000 OK\r\n\r\n"), nil, "the response is not valid HTTP"},
		{"malformed header", raw("HTTP/1.1 200 OK\r\n" + echo + "\r\n\r\n"), nil, "the response is not valid HTTP"},
		{"bad length", raw("HTTP/1.1 200 OK\r\nContent-Length: " + echo + "\r\n\r\n"), nil, "the response is not valid HTTP"},
		{"bad encoding", raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: " + echo + "\r\n\r\n"), nil, "the response is not valid HTTP"},
		{"huge headers", raw("HTTP/1.1 200 OK\r\nEcho: " + strings.Repeat(echo, 2000) + "\r\n\r\n"), nil, "the response headers are too large"},
		{"redirect with secrets", raw("HTTP/1.1 307 " + echo + "\r\nLocation: http://169.254.169.254/?" + urlToken + "\r\nContent-Length: 0\r\n\r\n"), nil, "redirects are not followed; the response was temporary redirect (HTTP status code 307)"},
		{"error that echoes", raw("HTTP/1.1 503 " + echo + "\r\nEcho: " + echo + "\r\nContent-Length: 5\r\n\r\nhello"), nil, "service unavailable (HTTP status code 503)"},
		{"TLS to plain HTTP", func(t *testing.T) string {
			return strings.Replace(rawReceiver(t, answer("")), "http:", "https:", 1)
		}, nil, "the connection was closed before a response arrived"},
		{"HTTP in place of TLS", func(t *testing.T) string {
			return strings.Replace(receiver(t, func(http.ResponseWriter, *http.Request) {}), "http:", "https:", 1)
		}, nil, "the target does not use TLS"},
		{"unknown authority", stranger, nil, "the TLS certificate is signed by an unknown authority"},
		{"loopback", fixed("http://127.0.0.1:9/"), public, notAllowed},
		{"metadata", fixed("http://169.254.169.254/"), nil, notAllowed},
		{"private", fixed("http://10.0.0.1/"), nil, notAllowed},
		{"no such host", fixed("http://" + urlToken + ".invalid./"), resolver(&net.DNSError{Err: echo, IsNotFound: true}), notAllowed},
	}
}

// notAllowed is all that a customer is told of a host that has no address to call.
const notAllowed = "the host does not resolve to an allowed address; check its name."

func public(o *Options) { o.Route.Guard = netguard.New(netguard.Public, nil) }

// resolver makes the client use a resolver that cannot reach its server.
func resolver(err error) func(*Options) {
	return func(o *Options) {
		o.Route.Guard = netguard.New(netguard.Loopback, &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, err
		}})
	}
}

func TestBadDaysAreRetriesThatSayWhy(t *testing.T) {
	for _, tt := range badDays() {
		t.Run(tt.name, func(t *testing.T) {
			target := tt.target(t)
			v := open(t, newClient(t, tt.change), hookTo(target)).Send(t.Context(), sample(), 1)
			if v.Outcome != sink.Retry {
				t.Fatalf("Send = %+v, want Retry", v)
			}
			want := "Request to URL " + strings.TrimSuffix(target, "/") + " failed. Reason: " + tt.reason
			if !strings.HasPrefix(v.Reason, want) || !strings.HasSuffix(v.Reason, ".") {
				t.Errorf("reason is %q, want %q", v.Reason, want)
			}
		})
	}
}

func TestNoSecretInAnyVerdict(t *testing.T) {
	for _, tt := range badDays() {
		t.Run(tt.name, func(t *testing.T) {
			target := tt.target(t) + "/services/" + urlToken + "?token=" + urlToken + "#" + urlToken
			if strings.HasPrefix(tt.name, "no such") {
				target = "http://gone.invalid./?" + urlToken
			}
			sender := open(t, newClient(t, tt.change), hookTo(target))
			v := sender.Send(t.Context(), sample(), 1)
			out := fmt.Sprintf("%v %+v %#v", v, v, v)
			for _, secret := range []string{apiKey, signingSecret[6:], previousSecret[6:], urlToken, "Bearer"} {
				if strings.Contains(out, secret) {
					t.Errorf("the verdict gives away %q: %s", secret, out)
				}
			}
		})
	}
}

func TestHostnameThatTheCertificateDoesNotHave(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	defer server.Close()
	client := newClientOver(t, func(transport *http.Transport) {
		transport.TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	})

	target := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
	v := open(t, client, hookTo(target)).Send(t.Context(), sample(), 1)
	if v.Outcome != sink.Retry || !strings.Contains(v.Reason, "certificate is not valid for this host") {
		t.Errorf("Send = %+v", v)
	}
	v = open(t, client, hookTo(server.URL)).Send(t.Context(), sample(), 1)
	if v.Status != http.StatusNotFound {
		t.Errorf("with the right name: Send = %+v, want the receiver's 404", v)
	}
}

// If a name is public at registration but resolves to loopback at the call, the
// call is refused, and that counts as the receiver's failure.
func TestHostThatMovesToLoopback(t *testing.T) {
	called := false
	url := receiver(t, func(http.ResponseWriter, *http.Request) { called = true })
	url = strings.Replace(url, "127.0.0.1", "localhost", 1)
	if err := netguard.New(netguard.Public, onceWasPublic{}).CheckURL(t.Context(), url); err != nil {
		t.Fatalf("registration: %v", err)
	}
	v := open(t, newClient(t, public), hookTo(url)).Send(t.Context(), sample(), 1)
	if v.Outcome != sink.Retry || !strings.Contains(v.Reason, notAllowed) || !strings.Contains(v.Detail, "is a loopback address") || called {
		t.Errorf("Send = %+v, called %v; want a Retry that names the address's kind to the operator alone", v, called)
	}
}

type onceWasPublic struct{}

func (onceWasPublic) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("93.184.216.34")}, nil
}

func TestEndingACallOurselvesIsInterrupted(t *testing.T) {
	reached := make(chan struct{}, 1)
	url := rawReceiver(t, func(c net.Conn, _ *bufio.Reader) {
		reached <- struct{}{}
		_, _ = io.Copy(io.Discard, c)
	})
	sender := open(t, newClient(t, nil), hookTo(url))
	want := sink.Verdict{Outcome: sink.Interrupted}

	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-reached; cancel(errors.New("shutdown")) }()
	if v := sender.Send(ctx, sample(), 1); v != want {
		t.Errorf("cancelled while waiting: Send = %+v, want %+v", v, want)
	}
	if v := sender.Send(ctx, sample(), 1); v != want {
		t.Errorf("cancelled before: Send = %+v, want %+v", v, want)
	}
	short, cancelShort := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancelShort()
	if v := sender.Send(short, sample(), 1); v != want {
		t.Errorf("caller's own deadline: Send = %+v, want %+v", v, want)
	}
}

// net/http logs unsolicited data from a receiver; FilterLog drops that. If this
// test finds nothing to drop, net/http has changed and FilterLog can be removed.
func TestNoSecretInTheLogOfNetHTTP(t *testing.T) {
	before := log.Writer()
	defer log.SetOutput(before)
	for _, filtered := range []bool{false, true} {
		var out bytes.Buffer
		log.SetOutput(&out)
		if filtered {
			log.SetOutput(netguard.FilterLog(&out))
		}
		closed := make(chan struct{})
		url := rawReceiver(t, func(c net.Conn, r *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"+echo)
			_, _ = io.Copy(io.Discard, r) // until the client hangs up, having logged
			close(closed)
		})
		open(t, newClient(t, nil), hookTo(url)).Send(t.Context(), sample(), 1)
		<-closed
		log.SetOutput(io.Discard)
		if logged := strings.Contains(out.String(), apiKey); logged == filtered {
			t.Errorf("filtered %v: the secret is in the log: %v", filtered, logged)
		}
	}
}
