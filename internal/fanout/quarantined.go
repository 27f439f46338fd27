package fanout

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ParkedPrefix is where in the bucket records are parked that cannot be read.
const QuarantinePrefix = "malformed/"

// Parked is a stream record that could not be read, as it is kept in the bucket.
type Quarantined struct {
	Reason       string `json:"reason"`
	Stream       string `json:"event_source_arn"`
	EventID      string `json:"event_id"` // shard and sequence number
	PartitionKey string `json:"partition_key"`
	Data         []byte `json:"data"` // in Base64
}

// ParseParked reads a Parked from its JSON. Its errors continue a sentence about
// the object: "it is not what fanout writes".
func ParseQuarantined(text []byte) (Quarantined, error) {
	var p Quarantined
	if err := json.Unmarshal(text, &p); err != nil {
		return Quarantined{}, fmt.Errorf("it is not what fanout writes: %w", err)
	}
	if p.PartitionKey == "" || p.Stream == "" {
		return Quarantined{}, errors.New("it is not what fanout writes: partition_key or event_source_arn is missing")
	}
	return p, nil
}
