package client

import (
	"context"
	"net/url"
	"strconv"
)

// Delivery is what became of one event in one integration. Times are RFC 3339. What is not
// known, or does not apply, is nil.
type Delivery struct {
	EventID     *string `json:"event_id"` // nil, as the next two, if the log no longer has the event
	EventName   *string `json:"event_name"`
	PublishedAt *string `json:"published_at"`
	Outcome     string  `json:"outcome"` // delivered, rejected, skipped or retrying
	Attempts    int     `json:"attempts"`
	First       *string `json:"first_attempt_at"`
	Last        *string `json:"last_attempt_at"`
	StatusCode  *int    `json:"status_code"`
	Cause       *string `json:"cause"`
	TookMS      *int64  `json:"took_ms"`
	File        *string `json:"file"` // its key in the bucket
}

// DeliveryQuery selects deliveries. The zero value selects the newest 50.
type DeliveryQuery struct {
	EventID, EventName, Outcome string // "" for all
	From, To                    string // RFC 3339, "" for no bound
	Limit                       int    // of a page, 1 to 200; 0 for 50
	After                       string // the next of the page before
}

// Deliveries returns a page of what was sent to an integration, newest first, and the After
// of the following page, "" at the end. A page may have fewer deliveries than its limit,
// also none, and not be the last.
func (c *Client) Deliveries(ctx context.Context, id string, q DeliveryQuery) (found []Delivery, next string, err error) {
	values := url.Values{}
	for name, value := range map[string]string{
		"event_id": q.EventID, "event_name": q.EventName, "outcome": q.Outcome, "from": q.From, "to": q.To, "after": q.After,
	} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.Limit > 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	var out struct {
		Deliveries []Delivery `json:"deliveries"`
		Next       string     `json:"next"`
	}
	err = c.get(ctx, integrationPath(id)+"/deliveries?"+values.Encode(), &out)
	return out.Deliveries, out.Next, err
}
