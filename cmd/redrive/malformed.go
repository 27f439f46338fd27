package main

import (
	"bytes"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/sluicehq/sluice/internal/fanout"
	wire "github.com/sluicehq/sluice/internal/publish/kinesis"
	"github.com/sluicehq/sluice/internal/settings"
)

// quarantined returns the record that fanout could not read. Releases that did not keep when
// a record arrived have stored it soon after.
func quarantined(text []byte, stored time.Time) (content, error) {
	p, err := fanout.ParseQuarantined(text)
	if err != nil {
		return content{}, err
	}
	if p.Arrived.IsZero() {
		p.Arrived = stored
	}
	marker, err := readable(p)
	if err != nil {
		return content{}, fmt.Errorf("this release cannot read it either: %w", err)
	}
	c := content{stream: p.Stream}
	if !marker { // a watermark marker is valid only where it was
		c.entries = append(c.entries, settled(types.PutRecordsRequestEntry{PartitionKey: &p.PartitionKey, Data: p.Data}, p.EventID, p.Arrived))
	}
	return c, nil
}

// readable returns an error if this release cannot read the record, and whether it is a
// watermark marker.
func readable(p fanout.Quarantined) (marker bool, err error) {
	if wire.IsPlain(p.Data) {
		_, err := wire.DecodePlain(bytes.Clone(p.Data), settings.Default().MaxEventBytes)
		return false, err
	}
	decoded, err := wire.Decode(p.PartitionKey, p.Data)
	return !decoded.Marker.IsZero(), err
}
