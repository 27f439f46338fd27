// Package client is a small typed client of the HTTP API. It also publishes inputs
// of any length, in bounded memory.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/version"
)

const (
	integrationsPath = "/api/v1/org/integrations/eventstream"
	eventsPath       = "/api/v1/org/events"

	callTimeout = time.Minute // longer than a receiver may take to respond to a manual retry
	maxResponse = 32 << 20    // limit of a response in bytes
)

// Client calls one API as one tenant, or with a platform token. It is safe for concurrent
// use.
type Client struct {
	base   string
	token  string
	tenant string // that the calls act for; "": the token's own
	http   *http.Client
}

// For returns a client whose calls act for a tenant. Its token must be a platform token.
func (c *Client) For(tenant string) *Client {
	other := *c
	other.tenant = tenant
	return &other
}

// New returns a client of the API at base, an http or https URL such as
// "http://127.0.0.1:8080". With an empty token the API refuses the calls. Without
// insecure, New refuses to send anything unencrypted to a host that is not loopback.
//
// Proxies of the environment are used as by http.ProxyFromEnvironment, so never for
// loopback.
func New(base, token string, insecure bool) (*Client, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return nil, errors.New("the URL of the API must look like http://127.0.0.1:8080")
	case u.User != nil:
		return nil, errors.New("the URL of the API must not contain a user or password; use a token")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the URL of the API must not have a query or fragment")
	case u.Scheme == "http" && !auth.IsLoopback(u.Hostname()) && !insecure:
		return nil, &PlainError{Host: u.Host}
	}
	return &Client{
		base:  strings.TrimRight(u.String(), "/"),
		token: token,
		http: &http.Client{
			// Following a redirect could leak the token.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// ConsoleURL returns the address of the web console that has a token in its fragment.
func (c *Client) ConsoleURL(token string) string { return c.base + "/console/#token=" + token }

// call sends body and decodes the response into out, unless out is nil. It returns
// an *Error if the response is not a 2xx, and an *UnreachableError if there is no
// complete response. It takes at most callTimeout. headers are names and values.
func (c *Client) call(ctx context.Context, method, path, mediaType string, body []byte, out any, headers ...string) error {
	_, received, err := c.exchange(ctx, method, path, mediaType, "application/json", body, headers...)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(received, out); err != nil {
		return c.foreign(method, path, err)
	}
	return nil
}

// exchange is call without the decoding: it returns the response's headers and body.
func (c *Client) exchange(ctx context.Context, method, path, mediaType, accept string, body []byte, headers ...string) (http.Header, []byte, error) {
	callCtx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(callCtx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, fmt.Errorf("make request: %w", err)
	}
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if c.tenant != "" {
		req.Header.Set("Sluice-Tenant", c.tenant)
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("User-Agent", "sluice-cli/"+version.Version)

	res, err := c.http.Do(req)
	if err != nil {
		return nil, nil, c.unreachable(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	received, err := io.ReadAll(io.LimitReader(res.Body, maxResponse))
	if err != nil {
		return nil, nil, c.unreachable(ctx, err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return nil, nil, refusal(res, received)
	}
	return res.Header, received, nil
}

// foreign returns the error for a response that is not from this API.
func (c *Client) foreign(method, path string, err error) error {
	text := fmt.Sprintf("the response of %s to %s %s is not from this API; check the URL", c.base, method, path)
	if err == nil {
		return errors.New(text)
	}
	return fmt.Errorf("%s: %w", text, err)
}

// unreachable returns the error of ctx if it has ended, else an UnreachableError.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without method and URL, which UnreachableError adds
	}
	return &UnreachableError{URL: c.base, Err: err}
}

// get and send call with the usual media types.
func (c *Client) get(ctx context.Context, path string, out any) error {
	return c.call(ctx, http.MethodGet, path, "", nil, out)
}

func (c *Client) send(ctx context.Context, method, path, mediaType string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode body: %w", err)
	}
	return c.call(ctx, method, path, mediaType, body, out)
}
