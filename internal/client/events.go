package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Pulled are events of an integration, as they are in the log.
type Pulled struct {
	Lines []byte // an event on each line
	Next  string // the position after them
	AtEnd bool   // there were no more
	Lost  int    // events at this place that are damaged, and can never be read
}

// TestResult is what became of a test event.
type TestResult struct {
	Outcome string  `json:"outcome"` // delivered, rejected or failed
	Status  *int    `json:"status_code"`
	Cause   *string `json:"cause"`
	TookMs  int64   `json:"took_ms"`
}

// Test sends a test event to the target of an integration now. The name is sluice.test if
// it is "".
func (c *Client) Test(ctx context.Context, id, name string) (TestResult, error) {
	body := struct {
		Name string `json:"event_name,omitzero"`
	}{name}
	var out TestResult
	err := c.send(ctx, http.MethodPost, integrationPath(id)+"/_test", "application/json", body, &out)
	return out, err
}

// Pull reads events of an integration from a position on: earliest, latest, a time, or
// Pulled.Next. If there is none, it waits for one, at most 20 s; whole seconds count.
func (c *Client) Pull(ctx context.Context, id, position string, limit int, wait time.Duration) (Pulled, error) {
	query := url.Values{"position": {position}, "limit": {strconv.Itoa(limit)}, "wait": {strconv.Itoa(int(wait / time.Second))}}
	path := integrationPath(id) + "/events?" + query.Encode()
	header, lines, err := c.exchange(ctx, http.MethodGet, path, "", "application/x-ndjson", nil)
	if err != nil {
		return Pulled{}, err
	}
	next := header.Get("Sluice-Next")
	if next == "" {
		return Pulled{}, c.foreign(http.MethodGet, path, nil)
	}
	lost, _ := strconv.Atoi(header.Get("Sluice-Lost")) // none if it is absent
	return Pulled{Lines: lines, Next: next, AtEnd: header.Get("Sluice-At-End") == "true", Lost: lost}, nil
}
