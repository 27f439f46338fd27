package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

// Registration is the body of a registration. Times are RFC 3339.
type Registration struct {
	ID       string    `json:"id"`
	Type     string    `json:"integration_type"`
	StartsAt string    `json:"starts_at,omitzero"`
	EndsAt   string    `json:"ends_at,omitzero"`
	Callback *Callback `json:"callback_parameters,omitzero"`
	S3       *S3       `json:"s3_parameters,omitzero"`
	Filter   *Filter   `json:"filter_conditions,omitzero"`
}

// Callback is the target of a webhook.
type Callback struct {
	URL           string `json:"callback_url"`
	APIKey        string `json:"api_key,omitzero"`
	SigningSecret string `json:"signing_secret,omitzero"`
}

// S3 is the bucket to write files to.
type S3 struct {
	AccessKeyID     string `json:"aws_access_key_id"`
	SecretAccessKey string `json:"aws_secret_access_key"`
	Region          string `json:"aws_region"`
	Bucket          string `json:"bucket"`
	KeyPrefix       string `json:"key_prefix,omitzero"`
	Endpoint        string `json:"endpoint,omitzero"`
}

// Filter lists event names and entities. An event passes if it matches either.
type Filter struct {
	Events   []string `json:"event_filter,omitzero"`
	Entities []string `json:"entity_filter,omitzero"`
}

// Integration is an integration as returned by the API, normally with masked
// secrets. Its JSON is the original object, including fields that this client does
// not know.
type Integration struct {
	Registration

	Status   string    `json:"status"`            // running, stopping or stopped
	Health   *Health   `json:"health,omitzero"`   // nil unless it was asked for
	Activity *Activity `json:"activity,omitzero"` // nil unless it was asked for and deliveries are recorded
	raw      json.RawMessage
}

// UnmarshalJSON decodes the fields and keeps the original object.
func (i *Integration) UnmarshalJSON(data []byte) error {
	type fields Integration
	var f fields
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	*i = Integration(f)
	i.raw = append(json.RawMessage(nil), data...)
	return nil
}

// MarshalJSON returns the original object.
func (i Integration) MarshalJSON() ([]byte, error) {
	type fields Integration
	if i.raw == nil {
		return json.Marshal(fields(i))
	}
	return i.raw, nil
}

// LogEntry is one entry of an integration's log.
type LogEntry struct {
	Action    string `json:"action"`
	Reason    string `json:"reason"`
	CreatedAt string `json:"created_at"`
}

// Integrations lists the tenant's integrations, by id.
func (c *Client) Integrations(ctx context.Context) ([]Integration, error) {
	return c.list(ctx, integrationsPath)
}

func (c *Client) list(ctx context.Context, path string) ([]Integration, error) {
	var out struct {
		Integrations []Integration `json:"integrations"`
	}
	err := c.get(ctx, path, &out)
	return out.Integrations, err
}

// Integration returns one integration.
func (c *Client) Integration(ctx context.Context, id string) (Integration, error) {
	var out Integration
	err := c.get(ctx, integrationPath(id), &out)
	if err == nil && out.ID == "" {
		err = c.foreign(http.MethodGet, integrationPath(id), nil)
	}
	return out, err
}

// Create registers an integration, which starts at once. The body is a
// Registration or any value with equivalent JSON.
func (c *Client) Create(ctx context.Context, body any) (Integration, error) {
	var out Integration
	err := c.send(ctx, http.MethodPost, integrationsPath, "application/json", body, &out)
	return out, err
}

// Estimate is what a registration would replay. What is not known is nil.
type Estimate struct {
	Events  int64   `json:"events"`
	Bytes   int64   `json:"bytes"`
	Oldest  *string `json:"oldest_available"`
	First   *string `json:"first_at"`
	Last    *string `json:"last_at"`
	Exact   bool    `json:"exact"`
	Seconds *int64  `json:"seconds"`
}

// Estimate says what Create would replay with the same body. It registers nothing.
func (c *Client) Estimate(ctx context.Context, body any) (Estimate, error) {
	var out Estimate
	err := c.send(ctx, http.MethodPost, integrationsPath+"/_estimate", "application/json", body, &out)
	return out, err
}

// Update applies a JSON merge patch (RFC 7396) to a stopped integration.
func (c *Client) Update(ctx context.Context, id string, patch any) (Integration, error) {
	var out Integration
	err := c.send(ctx, http.MethodPatch, integrationPath(id), "application/merge-patch+json", patch, &out)
	return out, err
}

// Delete deletes an integration, its log and its rejected events.
func (c *Client) Delete(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, integrationPath(id), "", nil, nil)
}

// Start starts an integration. It has no effect if the integration is running.
func (c *Client) Start(ctx context.Context, id string) (Integration, error) {
	var out Integration
	err := c.call(ctx, http.MethodPost, integrationPath(id)+"/_start", "", nil, &out)
	return out, err
}

// StartFrom starts a stopped integration at another place in the log: "latest", or a
// timestamp from which events are delivered.
func (c *Client) StartFrom(ctx context.Context, id, from string) (Integration, error) {
	body := struct {
		From string `json:"from"`
	}{from}
	var out Integration
	err := c.send(ctx, http.MethodPost, integrationPath(id)+"/_start", "application/json", body, &out)
	return out, err
}

// Stop stops an integration. It has no effect if the integration is stopped. Until
// the status is "stopped", events may still be delivered.
func (c *Client) Stop(ctx context.Context, id string) (Integration, error) {
	var out Integration
	err := c.call(ctx, http.MethodPost, integrationPath(id)+"/_stop", "", nil, &out)
	return out, err
}

// Skip skips an event that the integration waits for: it goes into the list of
// rejected events.
func (c *Client) Skip(ctx context.Context, id, eventID string) error {
	body := struct {
		EventID string `json:"event_id"`
	}{eventID}
	return c.send(ctx, http.MethodPost, integrationPath(id)+"/_skip", "application/json", body, nil)
}

// LogQuery selects log entries. The zero value selects the newest 50.
type LogQuery struct {
	Action string // "" for all
	Limit  int    // of a page, 1 to 200; 0 for 50
	After  string // the next of the page before
}

// Logs returns the newest 50 log entries of an integration, newest first.
func (c *Client) Logs(ctx context.Context, id string) ([]LogEntry, error) {
	entries, _, err := c.LogsAfter(ctx, id, LogQuery{})
	return entries, err
}

// LogsAfter returns log entries of an integration, newest first, and the After of the
// following page, "" at the end or if q is the zero value.
func (c *Client) LogsAfter(ctx context.Context, id string, q LogQuery) (entries []LogEntry, next string, err error) {
	values := url.Values{}
	if q.Action != "" {
		values.Set("action", q.Action)
	}
	if q.Limit > 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.After != "" {
		values.Set("after", q.After)
	}
	path := integrationPath(id) + "/logs"
	if len(values) > 0 {
		path += "?" + values.Encode()
	}
	var out struct {
		Entries []LogEntry `json:"entries"`
		Next    string     `json:"next"`
	}
	err = c.get(ctx, path, &out)
	return out.Entries, out.Next, err
}

func integrationPath(id string) string { return integrationsPath + "/" + url.PathEscape(id) }
