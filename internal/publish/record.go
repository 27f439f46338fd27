package publish

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/sluicehq/sluice/internal/event"
)

// ParseRecord returns the one event of a plain record, a JSON object that names its tenant:
// {"tenant", "id"?, "name", "payload"}. Its rules are those of an event in a call, and the
// errors, of package problem, name the field. The draft has no id if the record has none. It
// aliases the text, whose white space ParseRecord compacts in place unless it fails.
func ParseRecord(text []byte, maxBytes int64) (event.Draft, error) {
	p := &parser{
		limits: limits{event: maxBytes, events: 1}, call: Call{AnyTenant: true}, inRecord: true,
		body: text, input: text, dec: jsontext.NewDecoder(bytes.NewBuffer(text)), bytes: map[string]int{},
	}
	if err := p.event(place{}); err != nil {
		return event.Draft{}, err
	}
	if err := p.end(place{}); err != nil {
		return event.Draft{}, err
	}
	draft := p.drafts[0]
	return draft, finish(&draft, false)
}
