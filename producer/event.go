package producer

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/publish"
	"github.com/sluicehq/sluice/internal/settings"
)

// Event is one event to publish.
type Event struct {
	// Tenant gets the event: 1 to 128 printable characters without /.
	Tenant string `json:"tenant"`
	// ID is a UUID, by which receivers recognize repeats. If it is empty, Publish makes one, a
	// new one in each call: give one to an event that you may publish again.
	ID string `json:"id,omitempty"`
	// Name is the event's name, such as order.created: two or more words of a-z, 0-9 and _, joined
	// by dots, at most 128 characters.
	Name string `json:"name"`
	// Payload is a JSON object. The event as JSON has at most 256 KiB.
	Payload json.RawMessage `json:"payload"`
}

// draft checks the event by the rules of the API.
func (e *Event) draft() (event.Draft, error) {
	if len(e.Payload) == 0 {
		e = &Event{Tenant: e.Tenant, ID: e.ID, Name: e.Name, Payload: json.RawMessage("null")}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // the payload stays as it is
	if err := encoder.Encode(e); err != nil {
		return event.Draft{}, fmt.Errorf("payload is not valid JSON: %w", err)
	}
	draft, err := publish.ParseRecord(text.Bytes(), settings.Default().MaxEventBytes)
	if err != nil || draft.ID != "" {
		return draft, err
	}
	id, err := uuid.NewV7()
	draft.ID = id.String()
	return draft, err
}
