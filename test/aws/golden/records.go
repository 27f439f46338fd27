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
)

// record is a stream record as a person can read it. Exactly one of Events,
// Barrier and Raw is given.
type record struct {
	PartitionKey string       `json:"partition_key"`
	Events       []plainEvent `json:"events,omitempty"`
	Barrier      *time.Time   `json:"barrier,omitempty"`
	Raw          string       `json:"raw,omitempty"` // data that Sluice did not make
}

type plainEvent struct {
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	PublishedAt time.Time       `json:"published_at"`
	Payload     json.RawMessage `json:"payload,omitempty"`
	// Filler is so many characters that cannot be compressed to much less than
	// half, in place of a payload.
	Filler int `json:"filler,omitempty"`
}

// kinesisEvent is the input of fanout, with the fields that AWS gives it.
type kinesisEvent struct {
	Records []kinesisRecord `json:"Records"`
}

type kinesisRecord struct {
	Kinesis        kinesisData `json:"kinesis"`
	EventSource    string      `json:"eventSource"`
	EventVersion   string      `json:"eventVersion"`
	EventID        string      `json:"eventID"`
	EventName      string      `json:"eventName"`
	InvokeIdentity string      `json:"invokeIdentityArn"`
	AWSRegion      string      `json:"awsRegion"`
	EventSourceARN string      `json:"eventSourceARN"`
}

type kinesisData struct {
	SchemaVersion string      `json:"kinesisSchemaVersion"`
	PartitionKey  string      `json:"partitionKey"`
	Sequence      string      `json:"sequenceNumber"`
	Data          []byte      `json:"data"`
	Arrival       json.Number `json:"approximateArrivalTimestamp"`
}

// firstSequence is the number of the first record; the others follow.
const firstSequence = 100

// InputOf makes the input of a case of fanout from its readable records. It is
// nil where the case has none.
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

// batch encodes records as the event source mapping hands them over.
func batch(records []record, first int) ([]byte, error) {
	var e kinesisEvent
	for i := range records {
		data, err := records[i].encode()
		if err != nil {
			return nil, err
		}
		// Sequence numbers have 56 digits.
		sequence := fmt.Sprintf("4966%052d", first+i)
		e.Records = append(e.Records, kinesisRecord{
			Kinesis:     kinesisData{"1.0", records[i].PartitionKey, sequence, data, json.Number("1780308000.123")},
			EventSource: "aws:kinesis", EventVersion: "1.0", EventName: "aws:kinesis:record",
			EventID:        "shardId-000000000000:" + sequence,
			InvokeIdentity: "arn:aws:iam::123456789012:role/sluice-fanout", AWSRegion: "eu-central-1",
			EventSourceARN: "arn:aws:kinesis:eu-central-1:123456789012:stream/sluice",
		})
	}
	text, err := json.MarshalIndent(e, "", "  ")
	return append(text, '\n'), err
}

func (r *record) encode() ([]byte, error) {
	switch {
	case r.Barrier != nil:
		return kinesis.EncodeBarrier(*r.Barrier), nil
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

// filler is the same text every time.
func filler(n int) string {
	var text strings.Builder
	sum := sha256.Sum256([]byte("filler"))
	for text.Len() < n {
		text.WriteString(hex.EncodeToString(sum[:]))
		sum = sha256.Sum256(sum[:])
	}
	return text.String()[:n]
}
