// Package webhook delivers events by HTTP POST: one call per event, with the
// event's JSON as the body.
//
// Delivery is at least once. A receiver may see an event again: after a call that
// timed out but arrived, after a crash, and when a kept-alive connection breaks
// before the response, as the call is then repeated once on a new connection (see
// package keepalive). The header webhook-id is the same in all of them, so
// receivers can deduplicate by it. Calls have no guaranteed order.
//
// Limits: a call ends after the receiver's timeout, which includes connecting. The
// status decides the verdict as soon as the response headers arrive. At most
// 64 KiB of headers are read, and 64 KiB of the body within a second, to reuse the
// connection. The body is ignored, except that of a 400 to an http:// URL, which an
// HTTPS port may have sent. Redirects are not followed. No proxy is used but the one of
// the settings (see package egress). Calls use HTTP/1.1: each call in
// flight has its own connection, so a stuck one blocks no other.
package webhook

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/egress"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/sink/keepalive"
	"github.com/sluicehq/sluice/internal/usertext"
)

const (
	maxHeaderBytes = 64 << 10 // of a response
	maxBodyBytes   = 64 << 10 // of a response; a longer one costs its connection

	idleTimeout = 30 * time.Second // adds to the age of a connection, see package keepalive
)

// Options configures a Client.
type Options struct {
	Route       egress.Route           // required: checks every address that is dialled
	Connections *keepalive.Connections // required: bounds those that are kept
	Timeout     time.Duration          // required: of one call, SLUICE_WEBHOOK_TIMEOUT
	Spread      time.Duration          // a call may take up to so much longer, at random; see Settings.LongestCall
	InFlight    int                    // concurrent calls to one integration, SLUICE_IN_FLIGHT
	Version     string                 // for the header User-Agent: Sluice/<version>
	Now         func() time.Time       // nil: time.Now
}

// Client opens the senders of all webhook integrations. A process needs only one. It
// is safe for concurrent use.
type Client struct {
	newTransport func() *http.Transport
	connections  *keepalive.Connections
	timeout      time.Duration
	spread       time.Duration // greater than 0
	late         error         // the cause of a context that timed out
	userAgent    []string
	route        egress.Route
	now          func() time.Time
}

// New returns a Client. It makes no connections.
func New(o Options) *Client {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Client{
		newTransport: func() *http.Transport { return newTransport(o) },
		route:        o.Route,
		connections:  o.Connections,
		timeout:      o.Timeout,
		spread:       max(o.Spread, 1),
		late:         fmt.Errorf("no response within %v", o.Timeout),
		userAgent:    []string{"Sluice/" + o.Version},
		now:          o.Now,
	}
}

func newTransport(o Options) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	t := &http.Transport{
		Protocols:              protocols,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(0)},
		TLSHandshakeTimeout:    o.Timeout + o.Spread + time.Second, // the call ends first, and its reason is the one told
		MaxIdleConnsPerHost:    max(1, o.InFlight),
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true, // response bodies are discarded
	}
	o.Route.Set(t)
	return t
}

// Open decrypts the secrets of a webhook integration and returns its sender, which
// is valid as long as the integration's generation does not change. It makes no
// connection.
func (c *Client) Open(ctx context.Context, in *integration.Integration, sealer secret.Sealer) (*Sender, error) {
	hook := in.Webhook
	u, err := usertext.ParseURL(hook.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		// The message has neither err nor the URL: both can contain secrets.
		return nil, fmt.Errorf("integration %s: its callback_url is not an absolute http or https URL without user info", in.ID)
	}
	u.Fragment, u.RawFragment = "", ""
	s := &Sender{client: c, transport: keepalive.New(c.newTransport(), c.connections), url: u, host: hostHeader(u.Host), shown: usertext.ShortURL(u)}

	open := func(field string, sealed secret.Sealed) (secret.String, error) {
		if sealed.IsZero() {
			return secret.String{}, nil
		}
		text, err := sealer.Open(ctx, in.SecretOwner(field), sealed)
		if err != nil {
			return text, fmt.Errorf("integration %s: decrypting its %s: %w", in.ID, field, err)
		}
		return text, nil
	}
	key, err := open(integration.FieldAPIKey, hook.APIKey)
	if err != nil {
		return nil, err
	}
	if !key.IsZero() {
		s.authorization = []string{"Bearer " + key.Reveal()}
	}
	current, err := open(integration.FieldSigningSecret, hook.SigningSecret)
	if err != nil {
		return nil, err
	}
	if s.current, err = newSigner(current); err != nil {
		return nil, fmt.Errorf("integration %s: its signing_secret %w", in.ID, err)
	}
	if !c.now().Before(hook.PreviousExpires) {
		return s, nil
	}
	previous, err := open(integration.FieldSigningSecret, hook.PreviousSecret)
	if err != nil {
		return nil, err
	}
	if s.previous, err = newSigner(previous); err != nil {
		return nil, fmt.Errorf("integration %s: its previous signing_secret %w", in.ID, err)
	}
	s.previousExpires = hook.PreviousExpires
	return s, nil
}

// hostHeader removes the trailing dot of a fully qualified name: servers expect
// their name without it.
func hostHeader(host string) string {
	return strings.Replace(strings.TrimSuffix(host, "."), ".:", ":", 1)
}
