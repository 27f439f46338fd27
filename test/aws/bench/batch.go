package bench

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/publish/kinesis"
)

// Record is a record of the stream, as the function api puts it.
type Record struct {
	Partition event.Partition
	Events    []event.Event
}

// Batch is the payload with which the event source mapping invokes fanout for
// the records. Sequence numbers are given from first on.
func Batch(stream string, first int, records ...Record) []byte {
	var batch events.KinesisEvent
	for i, r := range records {
		sequence := strconv.Itoa(first + i)
		batch.Records = append(batch.Records, events.KinesisEventRecord{
			AwsRegion: "eu-central-1", EventID: "shardId-000000000000:" + sequence,
			EventName: "aws:kinesis:record", EventSource: "aws:kinesis", EventSourceArn: stream, EventVersion: "1.0",
			Kinesis: events.KinesisRecord{
				ApproximateArrivalTimestamp: events.SecondsEpochTime{Time: time.Now()},
				Data:                        kinesis.Encode(r.Events), PartitionKey: r.Partition.Key(),
				SequenceNumber: sequence, KinesisSchemaVersion: "1.0",
			},
		})
	}
	payload, err := json.Marshal(batch)
	if err != nil {
		panic(err) // texts and numbers
	}
	return payload
}

// Events makes so many events of a tenant that are published now, each with
// what payload returns, a JSON object.
func Events(tenant string, n int, payload func(i int) []byte) []event.Event {
	list := make([]event.Event, n)
	for i := range list {
		list[i] = event.Draft{ID: newID(), Name: "order.changed", Payload: payload(i)}.Stamp(tenant, time.Now())
	}
	return list
}
