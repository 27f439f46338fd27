package client

import (
	"context"
	"encoding/json"
	"net/url"
)

// Story is what became of one event. Its JSON is the original object.
type Story struct {
	Event struct {
		ID          string          `json:"id"`
		Name        string          `json:"name"`
		PublishedAt string          `json:"published_at"`
		Payload     json.RawMessage `json:"payload"`
	} `json:"event"`
	Integrations []Chapter `json:"integrations"`
	raw          json.RawMessage
}

// Chapter is what became of an event for one integration.
type Chapter struct {
	ID      string `json:"id"`
	Verdict string `json:"verdict"`
	Because string `json:"because"` // a sentence
}

// StoryQuery says when an event was published, in RFC 3339: about PublishedAt, or from From to
// To. All are "" if its id tells that.
type StoryQuery struct{ PublishedAt, From, To string }

// Story returns what became of an event.
func (c *Client) Story(ctx context.Context, id string, q StoryQuery) (Story, error) {
	values := url.Values{}
	for name, value := range map[string]string{"published_at": q.PublishedAt, "from": q.From, "to": q.To} {
		if value != "" {
			values.Set(name, value)
		}
	}
	path := eventsPath + "/" + url.PathEscape(id)
	if len(values) > 0 {
		path += "?" + values.Encode()
	}
	var out Story
	err := c.get(ctx, path, &out)
	return out, err
}

// UnmarshalJSON decodes the fields and keeps the original object.
func (s *Story) UnmarshalJSON(data []byte) error {
	type fields Story
	var f fields
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	*s = Story(f)
	s.raw = append(json.RawMessage(nil), data...)
	return nil
}

// MarshalJSON returns the original object.
func (s Story) MarshalJSON() ([]byte, error) {
	type fields Story
	if s.raw == nil {
		return json.Marshal(fields(s))
	}
	return s.raw, nil
}
