package golden

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/publish/kinesis"
	"github.com/sluicehq/sluice/test/aws/streampoller"
)

// record is a stream record in readable form. Exactly one of Events, Watermark and
// Raw is set.
type record struct {
	PartitionKey string       `json:"partition_key"`
	Events       []plainEvent `json:"events,omitempty"`
	Watermark    *time.Time   `json:"barrier"`
	Raw          string       `json:"raw,omitempty"` // data not written by Sluice
}

type plainEvent struct {
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	PublishedAt time.Time       `json:"published_at"`
	Payload     json.RawMessage `json:"payload,omitempty"`
	// Filler replaces the payload by this many characters, which compress to no
	// less than about half.
	Filler int `json:"filler,omitempty"`
}

// firstSequence is the number of the first record; the others follow.
const firstSequence = 100

// InputOf generates the input of a fanout case from its readable records. It is nil
// if the case has none.
func (c Case) InputOf() ([]byte, error) {
	text, err := c.optional(recordsEnd)
	if text == nil || err != nil {
		return nil, err
	}
	var records []record
	if err := decodeStrict(text, &records); err != nil {
		return nil, fmt.Errorf("%s: %w", c.path(recordsEnd), err)
	}
	return batch(records, firstSequence)
}

// batch encodes records as the event source mapping does.
func batch(records []record, first int) ([]byte, error) {
	list := make([]streampoller.Record, len(records))
	for i := range records {
		data, err := records[i].encode()
		if err != nil {
			return nil, err
		}
		list[i] = streampoller.Record{
			Sequence:     fmt.Sprintf("4966%052d", first+i), // these have 56 digits
			PartitionKey: records[i].PartitionKey, Data: data, Arrival: time.UnixMilli(1780308000123),
		}
	}
	payload := streampoller.Payload("arn:aws:kinesis:eu-central-1:123456789012:stream/sluice", "sluice-fanout", "shardId-000000000000", list)
	var text bytes.Buffer
	err := json.Indent(&text, payload, "", "  ")
	return append(text.Bytes(), '\n'), err
}

func (r *record) encode() ([]byte, error) {
	switch {
	case r.Watermark != nil:
		return kinesis.EncodeMarker(*r.Watermark), nil
	case len(r.Events) == 0:
		return []byte(r.Raw), nil
	}
	p, ok := event.PartitionOf(r.PartitionKey)
	if !ok {
		return nil, fmt.Errorf("the partition key %q is not a lane and a tenant", r.PartitionKey)
	}
	var events []event.Event
	for i := range r.Events {
		e := &r.Events[i]
		payload := e.Payload
		if e.Filler > 0 {
			payload = json.RawMessage(`{"text":"` + filler(e.Filler) + `"}`)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, payload); err != nil {
			return nil, fmt.Errorf("the payload of %s: %w", e.ID, err)
		}
		draft := event.Draft{ID: e.ID, Name: e.Name, Payload: compact.Bytes()}
		events = append(events, draft.Stamp(p.Tenant, e.PublishedAt))
	}
	return kinesis.Encode(events), nil
}

// filler always returns the same text.
func filler(n int) string {
	var text strings.Builder
	sum := sha256.Sum256([]byte("filler"))
	for text.Len() < n {
		text.WriteString(hex.EncodeToString(sum[:]))
		sum = sha256.Sum256(sum[:])
	}
	return text.String()[:n]
}
