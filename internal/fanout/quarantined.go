package fanout

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// QuarantinePrefix is the key prefix, in the bucket, of quarantined records.
const QuarantinePrefix = "malformed/"

// Quarantined is a stream record that could not be decoded, as it is stored in the
// bucket.
type Quarantined struct {
	Reason       string    `json:"reason"`
	Stream       string    `json:"event_source_arn"`
	EventID      string    `json:"event_id"` // shard and sequence number
	PartitionKey string    `json:"partition_key"`
	Arrived      time.Time `json:"arrived_at,omitzero"` // in the stream; releases before plain records did not keep it
	Data         []byte    `json:"data"`                // Base64 in JSON
}

// ParseQuarantined parses the JSON of a Quarantined. Its errors read on from a
// mention of the object: "it is not a quarantined record".
func ParseQuarantined(text []byte) (Quarantined, error) {
	var p Quarantined
	if err := json.Unmarshal(text, &p); err != nil {
		return Quarantined{}, fmt.Errorf("it is not a quarantined record: %w", err)
	}
	if p.PartitionKey == "" || p.Stream == "" {
		return Quarantined{}, errors.New("it is not a quarantined record: partition_key or event_source_arn is missing")
	}
	return p, nil
}
