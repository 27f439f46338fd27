package webhook

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/egress"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/netguard"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/sink/keepalive"
)

const (
	apiKey         = "key-THE-API-KEY-0123456789"
	signingSecret  = "whsec_MfKQ9r8GKYqTwjUPD8ILPZIo2LaLaSw1"
	previousSecret = "whsec_plJ3nmyCDGBKInavdOK15jsl0000aaaa"
	urlToken       = "the-token-of-the-url"
)

// noon is the time of a test unless it sets another.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// vault is a secret.Sealer that binds a secret to its owner but does not encrypt.
type vault struct{}

func (vault) Seal(_ context.Context, o secret.Owner, text secret.String) (secret.Sealed, error) {
	return secret.Sealed{Ciphertext: []byte(o.Tenant + "/" + o.Integration + "/" + o.Field + ":" + text.Reveal())}, nil
}

func (vault) Open(_ context.Context, o secret.Owner, s secret.Sealed) (secret.String, error) {
	text, ok := bytes.CutPrefix(s.Ciphertext, []byte(o.Tenant+"/"+o.Integration+"/"+o.Field+":"))
	if !ok {
		return secret.String{}, errors.New("the key does not fit")
	}
	return secret.NewString(string(text)), nil
}

func (vault) Outdated(secret.Owner, secret.Sealed) bool { return false }

func sealed(field, text string) secret.Sealed {
	s, _ := vault{}.Seal(context.Background(), secret.Owner{Tenant: "acme", Integration: "hook", Field: field}, secret.NewString(text))
	return s
}

// hookTo returns an integration with every kind of secret.
func hookTo(url string) *integration.Integration {
	return &integration.Integration{Tenant: "acme", ID: "hook", Webhook: &integration.Webhook{
		URL:             url,
		APIKey:          sealed(integration.FieldAPIKey, apiKey),
		SigningSecret:   sealed(integration.FieldSigningSecret, signingSecret),
		PreviousSecret:  sealed(integration.FieldSigningSecret, previousSecret),
		PreviousExpires: noon.Add(time.Hour),
	}}
}

func options() Options {
	return Options{
		Route: egress.Route{Guard: netguard.New(netguard.Loopback, nil)}, Connections: keepalive.NewConnections(1000), Timeout: 10 * time.Second, InFlight: 16,
		Version: "1.2.3", Now: func() time.Time { return noon },
	}
}

func newClient(t testing.TB, change func(*Options)) *Client {
	o := options()
	if change != nil {
		change(&o)
	}
	return New(o)
}

// newClientOver returns a client whose transports are modified first.
func newClientOver(t testing.TB, change func(*http.Transport)) *Client {
	c := New(options())
	c.newTransport = func() *http.Transport {
		transport := newTransport(options())
		change(transport)
		return transport
	}
	return c
}

// inMemory returns a client with in-memory connections; serve gets the other end of
// each. It works in a testing/synctest bubble.
func inMemory(t testing.TB, serve func(net.Conn, *bufio.Reader)) *Client {
	var servers sync.WaitGroup
	t.Cleanup(servers.Wait) // after the client is closed
	return newClientOver(t, func(transport *http.Transport) {
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			servers.Go(func() {
				defer server.Close()
				serve(server, bufio.NewReader(server))
			})
			return client, nil
		}
	})
}

func within(d time.Duration) func(*Options) { return func(o *Options) { o.Timeout = d } }

func open(t testing.TB, c *Client, in *integration.Integration) *Sender {
	t.Helper()
	s, err := c.Open(context.Background(), in, vault{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// receiver serves h on loopback and returns its URL.
func receiver(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// rawReceiver calls serve with each connection after reading its first request, and
// then closes it.
func rawReceiver(t testing.TB, serve func(net.Conn, *bufio.Reader)) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() }) // also of those that hang
			go func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				if readRequest(r) {
					serve(conn, r)
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// readRequest reads one request with its body from a connection.
func readRequest(r *bufio.Reader) bool {
	req, err := http.ReadRequest(r)
	if err != nil {
		return false
	}
	var b bytes.Buffer
	_, err = b.ReadFrom(req.Body)
	return err == nil
}

// answer returns a serve function for rawReceiver that sends text.
func answer(text string) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, _ *bufio.Reader) { _, _ = c.Write([]byte(text)) }
}

func sample() *event.Event {
	e := event.Draft{ID: "0195f3a0-7b1c-7c3d-8e9f-000000000001", Name: "order.created", Payload: []byte(`{"order_id":"A-1"}`)}.Stamp("acme", noon)
	return &e
}
