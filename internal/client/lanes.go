package client

import (
	"context"
	"net/http"
)

const lanesPath = "/api/v1/org/lanes"

// Lanes is over how many lanes the events of a tenant are spread.
type Lanes struct {
	Tenant string `json:"tenant"`
	Lanes  int    `json:"lanes"`
}

// Lanes returns the lanes of the tenant that the client acts for.
func (c *Client) Lanes(ctx context.Context) (Lanes, error) {
	var out Lanes
	err := c.get(ctx, lanesPath, &out)
	return out, err
}

// RaiseLanes gives the tenant that the client acts for more lanes.
func (c *Client) RaiseLanes(ctx context.Context, n int) (Lanes, error) {
	var out Lanes
	err := c.send(ctx, http.MethodPut, lanesPath, "application/json", map[string]int{"lanes": n}, &out)
	return out, err
}
