package fanout

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ParkedPrefix is where in the bucket records are parked that cannot be read.
const ParkedPrefix = "malformed/"

// Parked is a stream record that could not be read, as it is kept in the bucket.
type Parked struct {
	Reason       string `json:"reason"`
	Stream       string `json:"event_source_arn"`
	EventID      string `json:"event_id"` // shard and sequence number
	PartitionKey string `json:"partition_key"`
	Data         []byte `json:"data"` // in Base64
}

// ParseParked reads a Parked from its JSON. Its errors continue a sentence about
// the object: "it is not what fanout writes".
func ParseParked(text []byte) (Parked, error) {
	var p Parked
	if err := json.Unmarshal(text, &p); err != nil {
		return Parked{}, fmt.Errorf("it is not what fanout writes: %w", err)
	}
	if p.PartitionKey == "" || p.Stream == "" {
		return Parked{}, errors.New("it is not what fanout writes: partition_key or event_source_arn is missing")
	}
	return p, nil
}
