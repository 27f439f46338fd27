package aws

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	integrationsPath = "/api/v1/org/integrations/eventstream"
	publishPath      = "/api/v1/org/events"
)

type object = map[string]any

// tenant is a client of the API.
type tenant struct {
	*world
	t           *testing.T
	name, token string
}

func (w *world) newTenant(t *testing.T) *tenant {
	name := "t-" + strings.ToLower(rand.Text()[:12])
	return &tenant{world: w, t: t, name: name, token: w.Token(name, "integrations:write", "events:publish")}
}

var caller = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// try makes a call. The status is 0 if there was no response.
func (c *tenant) try(method, path string, body any, into any) int {
	text, err := json.Marshal(body)
	if err != nil {
		fatal(c.t, "%v", err)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, c.URL+path, bytes.NewReader(text))
	if err != nil {
		fatal(c.t, "%v", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.token)
	res, err := caller.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = res.Body.Close() }()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		return 0
	}
	if res.StatusCode/100 == 2 && into != nil {
		if err := json.Unmarshal(got, into); err != nil {
			c.t.Errorf("%s %s: %v: %s", method, path, err, got)
		}
	}
	if res.StatusCode/100 == 4 && res.StatusCode != http.StatusConflict && res.StatusCode != http.StatusNotFound {
		c.t.Errorf("%s %s %.200s: %d %s", method, path, text, res.StatusCode, got)
	}
	return res.StatusCode
}

// call retries a call until the response is not a 5xx, as clients do.
func (c *tenant) call(method, path string, body, into any) int {
	c.t.Helper()
	status := 0
	c.until(c.t, fmt.Sprintf("%s %s gets a response", method, path), func() bool {
		status = c.try(method, path, body, into)
		return status != 0 && status < 500
	})
	return status
}
