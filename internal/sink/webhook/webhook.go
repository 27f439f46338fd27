// Package webhook delivers events by HTTP POST: one call an event, the event's
// JSON as the body.
//
// Delivery is at least once. A receiver may see an event again: after a
// time-out whose call did get through, after a crash, and when a kept-alive
// connection breaks before the answer, where the call is repeated once on a
// fresh connection (see package keepalive). The header webhook-id is the same
// in all of them, and is what receivers dedupe by. No order is promised between
// calls.
//
// Limits: a call ends after the receiver's timeout, connecting included. The
// status decides, as soon as the headers of the answer are there: of those at
// most 64 KiB are read, of the body 64 KiB within a second, to use the
// connection again. The body is not looked at, except that of a 400 to an
// http:// URL, which an HTTPS port may have sent. Redirects are not followed, and no proxy is used, neither
// from a setting nor from the environment: it would dial in our place, past
// the check of the address (see package netguard). Calls use HTTP/1.1: with a
// connection for each call in flight, one that is stuck holds up nothing else.
package webhook

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/netguard"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/sink/keepalive"
	"github.com/sluicehq/sluice/internal/usertext"
)

const (
	maxHeaderBytes = 64 << 10 // of an answer
	maxBodyBytes   = 64 << 10 // of an answer; longer ones cost their connection

	// Many integrations may share a host, each with its own window of calls.
	idleWindowsPerHost = 16
	maxIdle            = 1024             // connections kept, over all hosts
	idleTimeout        = 30 * time.Second // adds to the age of a connection, see package keepalive
)

// Options is what a Client needs to know.
type Options struct {
	Guard    *netguard.Guard  // required: judges every address that is dialled
	Timeout  time.Duration    // required: of one call, SLUICE_WEBHOOK_TIMEOUT
	InFlight int              // calls at a time to one integration, SLUICE_IN_FLIGHT
	Version  string           // for the header User-Agent: Sluice/<version>
	Now      func() time.Time // nil: time.Now
}

// Client holds the connections of all webhook integrations. One is enough for
// a process. It is safe for concurrent use.
type Client struct {
	transport *keepalive.Transport
	timeout   time.Duration
	late      error // the cause of a context whose timeout is over
	userAgent []string
	now       func() time.Time
}

// New returns a client without connections.
func New(o Options) *Client {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Client{
		transport: keepalive.New(newTransport(o)),
		timeout:   o.Timeout,
		late:      fmt.Errorf("no answer within %v", o.Timeout),
		userAgent: []string{"Sluice/" + o.Version},
		now:       o.Now,
	}
}

func newTransport(o Options) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:            o.Guard.Dialer().DialContext,
		Protocols:              protocols,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(0)},
		TLSHandshakeTimeout:    o.Timeout,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    idleWindowsPerHost * max(1, o.InFlight),
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true, // answers are thrown away
	}
}

// Close closes the connections that are idle. Calls under way go on.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Open decrypts the secrets of a webhook integration and returns its sender,
// which is good for as long as the integration has the same generation. It
// makes no connection.
func (c *Client) Open(ctx context.Context, in *integration.Integration, sealer secret.Sealer) (*Sender, error) {
	hook := in.Webhook
	u, err := usertext.ParseURL(hook.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		// Neither err nor the URL is shown: both can hold secrets.
		return nil, fmt.Errorf("integration %s: its callback_url is not an absolute http or https URL without user info", in.ID)
	}
	u.Fragment, u.RawFragment = "", ""
	s := &Sender{client: c, url: u, host: hostHeader(u.Host), shown: redactURL(u)}

	open := func(field string, sealed secret.Sealed) (secret.String, error) {
		if sealed.IsZero() {
			return secret.String{}, nil
		}
		text, err := sealer.Open(ctx, secret.Owner{Tenant: in.Tenant, Integration: in.ID, Field: field}, sealed)
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

// hostHeader leaves out the dot that may end a full name: servers know themselves
// by the name without it.
func hostHeader(host string) string {
	return strings.Replace(strings.TrimSuffix(host, "."), ".:", ":", 1)
}
