package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

// RejectedEvent is an entry in the list of events that a receiver rejected, or that were
// skipped.
type RejectedEvent struct {
	ID         string  `json:"id"`
	CreatedAt  string  `json:"created_at"`
	Name       *string `json:"event_name"` // nil if the service does not know it any more
	Reason     string  `json:"reason"`
	StatusCode *int    `json:"status_code"` // of the last attempt, nil if there is none
}

// RejectedEvents lists rejected events of an integration, newest first: a page of at most
// limit, 1 to 200. It returns the after of the following page, "" at the end; the first page
// has "".
func (c *Client) RejectedEvents(ctx context.Context, id string, limit int, after string) (events []RejectedEvent, next string, err error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if after != "" {
		query.Set("after", after)
	}
	var out struct {
		Events []RejectedEvent `json:"rejected_events"`
		Next   string          `json:"next"`
	}
	err = c.get(ctx, integrationPath(id)+"/rejected_events?"+query.Encode(), &out)
	return out.Events, out.Next, err
}

// RejectedEvent returns a rejected event as it was sent.
func (c *Client) RejectedEvent(ctx context.Context, id, eventID string) (json.RawMessage, error) {
	var out json.RawMessage
	err := c.get(ctx, rejectedPath(id, eventID), &out)
	return out, err
}

// RetryRejected sends a rejected event again and waits for the receiver. On success
// the event is removed from the list.
func (c *Client) RetryRejected(ctx context.Context, id, eventID string) error {
	return c.call(ctx, http.MethodPost, rejectedPath(id, eventID)+"/_retry", "", nil, nil)
}

// DeleteRejected deletes a rejected event.
func (c *Client) DeleteRejected(ctx context.Context, id, eventID string) error {
	return c.call(ctx, http.MethodDelete, rejectedPath(id, eventID), "", nil, nil)
}

func rejectedPath(id, eventID string) string {
	return integrationPath(id) + "/rejected_events/" + url.PathEscape(eventID)
}

// Bulk is what became of several rejected events.
type Bulk struct {
	Delivered []string      `json:"delivered"`
	Deleted   []string      `json:"deleted,omitempty"`
	Failed    []BulkFailure `json:"failed"`
	Remaining int           `json:"remaining"` // not reached in the time of a call
}

// BulkFailure is a rejected event that stays in the list, or is not in it.
type BulkFailure struct {
	ID    string `json:"id"`
	Cause string `json:"cause"`
}

// RetryRejectedEvents sends up to 100 rejected events again, and waits for the receiver.
// What it does not reach in 20 s is only counted.
func (c *Client) RetryRejectedEvents(ctx context.Context, id string, eventIDs []string) (Bulk, error) {
	return c.bulk(ctx, id, "/_retry", map[string]any{"event_ids": eventIDs})
}

// DeleteRejectedEvents deletes all rejected events of an integration.
func (c *Client) DeleteRejectedEvents(ctx context.Context, id string) (Bulk, error) {
	return c.bulk(ctx, id, "/_delete", map[string]any{"all": true})
}

func (c *Client) bulk(ctx context.Context, id, verb string, body any) (Bulk, error) {
	var out Bulk
	err := c.send(ctx, http.MethodPost, integrationPath(id)+"/rejected_events"+verb, "application/json", body, &out)
	return out, err
}
