package client

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
)

// Health is how an integration is doing. Times are RFC 3339, "" if they do not apply. Its
// JSON is the original object.
type Health struct {
	State            string    `json:"state"`  // healthy, catching_up, failing, stopped or complete
	Reason           string    `json:"reason"` // why it is stopped
	DeliveredThrough string    `json:"delivered_through"`
	Behind           Behind    `json:"behind"`
	Failing          *Outage   `json:"failing"`
	RestartBy        string    `json:"restart_by"`
	LastDeliveredAt  string    `json:"last_delivered_at"`
	Progress         *Progress `json:"progress"`
	raw              json.RawMessage
}

// Behind is what the log has beyond an integration's place in it.
type Behind struct {
	Events int    `json:"events"`
	Bytes  int64  `json:"bytes"`
	Oldest string `json:"oldest_published_at"`
}

// Outage is what a failing integration waits for.
type Outage struct {
	Since         string `json:"since"`
	Attempts      int    `json:"attempts"`
	NextAttemptAt string `json:"next_attempt_at"`
	EventID       string `json:"event_id"`
	EventName     string `json:"event_name"`
	StatusCode    int    `json:"status_code"`
	Cause         string `json:"cause"`
	StopsAt       string `json:"stops_at"`
}

// Progress is how far a replay is.
type Progress struct {
	Fraction  float64 `json:"fraction"`
	Read      int     `json:"read"`
	Filtered  int     `json:"filtered"`
	Delivered int     `json:"delivered"`
	Rejected  int     `json:"rejected"`
	Skipped   int     `json:"skipped"`
}

// Health returns how an integration is doing.
func (c *Client) Health(ctx context.Context, id string) (Health, error) {
	var out Health
	err := c.get(ctx, integrationPath(id)+"/health", &out)
	return out, err
}

// IntegrationWithHealth returns one integration with its health, as a list has it. It makes
// two calls.
func (c *Client) IntegrationWithHealth(ctx context.Context, id string) (Integration, error) {
	in, err := c.Integration(ctx, id)
	if err != nil {
		return Integration{}, err
	}
	h, err := c.Health(ctx, id)
	if err != nil {
		return Integration{}, err
	}
	in.Health = &h
	fields := in.raw[:bytes.LastIndexByte(in.raw, '}')]
	in.raw = slices.Concat(fields, []byte(`,"health":`), h.raw, []byte("}"))
	return in, nil
}

// UnmarshalJSON decodes the fields and keeps the original object.
func (h *Health) UnmarshalJSON(data []byte) error {
	type fields Health
	var f fields
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	*h = Health(f)
	h.raw = append(json.RawMessage(nil), data...)
	return nil
}

// MarshalJSON returns the original object.
func (h Health) MarshalJSON() ([]byte, error) {
	type fields Health
	if h.raw == nil {
		return json.Marshal(fields(h))
	}
	return h.raw, nil
}

// IntegrationsWithHealth lists the tenant's integrations with the health of each, by id.
func (c *Client) IntegrationsWithHealth(ctx context.Context) ([]Integration, error) {
	return c.list(ctx, integrationsPath+"?include=health")
}
