// Package client is a small typed client of the HTTP API, and the publishing of
// long inputs over it. It keeps nothing in memory that grows with an input.
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

	"github.com/sluicehq/sluice/internal/version"
)

const (
	integrationsPath = "/api/v1/org/integrations/eventstream"
	eventsPath       = "/api/v1/org/events"

	callTimeout = time.Minute // longer than a receiver's time to answer a retry by hand
	maxAnswer   = 32 << 20    // bytes of an answer that are read
)

// Client calls one API as one tenant. It is safe for concurrent use.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// New returns a client of the API at base, an http or https URL such as
// "http://127.0.0.1:8080". The token may be empty: the API then refuses.
func New(base, token string) (*Client, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return nil, errors.New("the URL of the API must look like http://127.0.0.1:8080")
	case u.User != nil:
		return nil, errors.New("the URL of the API must not hold a user or password; calls are authorised by the token")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the URL of the API must end before any ? or #")
	}
	return &Client{
		base:  strings.TrimRight(u.String(), "/"),
		token: token,
		http: &http.Client{
			// The token must not travel to wherever an answer points.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// call sends body and decodes the answer into out, unless that is nil. It
// returns an *Error if the API refused, an *UnreachableError if it could not
// be asked. It takes at most a minute.
func (c *Client) call(ctx context.Context, method, path, mediaType string, body []byte, out any) error {
	callCtx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(callCtx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "sluice-cli/"+version.Version)

	res, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return c.unreachable(ctx, err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return refusal(res, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s answered %s %s with something that is not from this API; check the URL: %w", c.base, method, path, err)
	}
	return nil
}

// unreachable tells the caller's own cancellation from a failed call.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the method and URL, which the message has
	}
	return &UnreachableError{URL: c.base, Err: err}
}

// get and send are call with the media types of most calls.
func (c *Client) get(ctx context.Context, path string, out any) error {
	return c.call(ctx, http.MethodGet, path, "", nil, out)
}

func (c *Client) send(ctx context.Context, method, path, mediaType string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	return c.call(ctx, method, path, mediaType, body, out)
}
