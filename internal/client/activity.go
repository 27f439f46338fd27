package client

import (
	"context"
	"net/url"
	"strconv"
)

// Activity is what was sent to an integration in the last 24 hours of the clock, in UTC.
type Activity struct {
	Since    string `json:"since"` // RFC 3339: from then on everything is counted
	Hours    []Hour `json:"hours"` // the oldest first; the last one is the present hour
	Complete bool   `json:"complete"`
}

// Hour is what was sent in an hour.
type Hour struct {
	Delivered int `json:"delivered"` // events, or files
	Rejected  int `json:"rejected"`
	Failed    int `json:"failed"` // attempts
}

// IntegrationsWithActivity lists the tenant's integrations with the health and the activity
// of each, by id.
func (c *Client) IntegrationsWithActivity(ctx context.Context) ([]Integration, error) {
	return c.list(ctx, integrationsPath+"?include=health,activity")
}

const troublesPath = "/api/v1/org/integrations/health"

// Trouble is an integration of some tenant that the operator was told to be in trouble.
type Trouble struct {
	Tenant string   `json:"tenant"`
	ID     string   `json:"id"`
	Since  string   `json:"since"`  // RFC 3339: of the first alert
	Alerts []string `json:"alerts"` // such as integration.failing
	Health Health   `json:"health"`
}

// Troubles returns a page of the integrations of all tenants that are in trouble, for longest
// first, and the after of the following page, "" at the end. A limit of 0 is 50. It needs a
// platform token, and a client that acts for no tenant.
func (c *Client) Troubles(ctx context.Context, limit int, after string) (found []Trouble, next string, err error) {
	values := url.Values{}
	if limit > 0 {
		values.Set("limit", strconv.Itoa(limit))
	}
	if after != "" {
		values.Set("after", after)
	}
	var out struct {
		Integrations []Trouble `json:"integrations"`
		Next         string    `json:"next"`
	}
	err = c.get(ctx, troublesPath+"?"+values.Encode(), &out)
	return out.Integrations, out.Next, err
}
