package main

import (
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/sluicehq/sluice/internal/fanout"
	wire "github.com/sluicehq/sluice/internal/publish/kinesis"
)

// givenUp returns the records of a batch that Lambda gave up on, without its watermark
// markers: a marker vouches for everything put before it, which is not true at its new
// position. A process that waits for one puts another.
func givenUp(text []byte, _ time.Time) (content, error) {
	b, err := fanout.ParseGivenUp(text)
	if err != nil {
		return content{}, err
	}
	first := b.Records[0].Kinesis.ApproximateArrivalTimestamp.UTC().Round(time.Millisecond)
	c := content{
		stream: b.Stream,
		about:  fmt.Sprintf("batch of %d records of %s, from %s on (%s)", len(b.Records), b.Shard, first.Format(time.DateTime+"Z"), b.Reason),
	}
	for i := range b.Records {
		if entry, ok := entryOf(&b.Records[i]); ok {
			c.entries = append(c.entries, entry)
		}
	}
	return c, nil
}

// entryOf returns a record as it is put again; false for a watermark marker.
func entryOf(r *events.KinesisEventRecord) (types.PutRecordsRequestEntry, bool) {
	k := &r.Kinesis
	decoded, err := wire.Decode(k.PartitionKey, k.Data)
	if err == nil && !decoded.Marker.IsZero() {
		return types.PutRecordsRequestEntry{}, false
	}
	entry := types.PutRecordsRequestEntry{PartitionKey: &k.PartitionKey, Data: k.Data}
	return settled(entry, r.EventID, k.ApproximateArrivalTimestamp.Time), true
}
