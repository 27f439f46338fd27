package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

const eventstream = "/api/v1/org/integrations/eventstream"

// client calls the API of a node for a tenant.
type client struct {
	node  *node
	token string
}

func newClient(n *node, tenant string) *client {
	return &client{n, n.token(tenant, "integrations:write", "events:publish")}
}

type answer struct {
	status int
	body   []byte
}

// try makes a call that may get no response.
func (c *client) try(ctx context.Context, method, path, body string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.node.url()+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := httpClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, text}, err
}

func (c *client) call(t *testing.T, method, path, body string) answer {
	t.Helper()
	a, err := c.try(t.Context(), method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

type apiProblem struct {
	Code      string `json:"error_code"`
	Message   string `json:"message"`
	RequestID string `json:"request_id"`
}

func (a answer) problem(t *testing.T) apiProblem {
	t.Helper()
	var e apiProblem
	if err := json.Unmarshal(a.body, &e); err != nil || e.Code == "" || e.RequestID == "" {
		t.Fatalf("got %d %s, want an error", a.status, a.body)
	}
	return e
}

// register registers a webhook integration, or one with other fields.
func (c *client) register(t *testing.T, id, fields string) {
	t.Helper()
	if strings.HasPrefix(fields, "http") {
		fields = fmt.Sprintf(`"callback_parameters":{"callback_url":%q}`, fields)
	}
	a := c.call(t, "POST", eventstream, fmt.Sprintf(`{"id":%q,"integration_type":"permanent",%s}`, id, fields))
	if a.status != http.StatusOK {
		t.Fatalf("registering %s: %d %s", id, a.status, a.body)
	}
}

// publish publishes n events with a payload and returns their ids, or an error.
func (c *client) publish(ctx context.Context, n int, payload string) ([]string, int, error) {
	event := `{"name":"order.created","payload":` + payload + `}`
	a, err := c.try(ctx, "POST", "/api/v1/org/events", `{"events":[`+event+strings.Repeat(","+event, n-1)+`]}`)
	if err != nil {
		return nil, 0, err
	}
	var list struct{ Events []struct{ ID string } }
	if err := json.Unmarshal(a.body, &list); err != nil {
		return nil, a.status, err
	}
	var ids []string
	for _, e := range list.Events {
		ids = append(ids, e.ID)
	}
	return ids, a.status, nil
}

func (c *client) status(t *testing.T, id string) string {
	t.Helper()
	var d struct{ Status string }
	a := c.call(t, "GET", eventstream+"/"+id, "")
	if err := json.Unmarshal(a.body, &d); err != nil || a.status != http.StatusOK {
		t.Fatalf("%s: %d %s", id, a.status, a.body)
	}
	return d.Status
}

// mustPublish publishes n small events.
func mustPublish(t *testing.T, c *client, n int) []string {
	t.Helper()
	ids, status, err := c.publish(t.Context(), n, `{}`)
	if err != nil || status != http.StatusAccepted {
		t.Fatalf("publishing: %d, %v", status, err)
	}
	return ids
}
