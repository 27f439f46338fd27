package fanout

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-lambda-go/events"
)

// GivenUpPrefix is the key prefix, in the bucket, of batches that Lambda gave up on. Lambda
// has chosen it: aws/lambda/<mapping>/<shard>/YYYY/MM/DD/<time>-<UUID>.
const GivenUpPrefix = "aws/lambda/"

// GivenUp is a batch that Lambda gave up on, with the records themselves, as it puts it into
// the bucket that is the on-failure destination of an event source mapping:
// https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
type GivenUp struct {
	Reason  string // as Lambda states it
	Stream  string // ARN
	Shard   string
	Records []events.KinesisEventRecord // as the function gets them; never empty
}

// ParseGivenUp parses the JSON of a GivenUp. Its errors read on from a mention of the object:
// "it is not a batch that was given up". A batch of which a record is missing is an error.
func ParseGivenUp(text []byte) (GivenUp, error) {
	var r struct {
		RequestContext struct {
			Condition string `json:"condition"`
		} `json:"requestContext"`
		Batch *struct {
			Shard  string `json:"shardId"`
			Size   int    `json:"batchSize"`
			Stream string `json:"streamArn"`
		} `json:"KinesisBatchInfo"`
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return GivenUp{}, fmt.Errorf("it is not a batch that was given up: %w", err)
	}
	if r.Batch == nil {
		return GivenUp{}, errors.New("it is not a batch that was given up: KinesisBatchInfo is missing")
	}
	event, err := parsePayload(r.Payload)
	if err != nil {
		return GivenUp{}, fmt.Errorf("its payload does not have the records: %w", err)
	}
	if len(event.Records) < max(r.Batch.Size, 1) { // more are repeats, and do no harm
		return GivenUp{}, fmt.Errorf("its payload has %d records, and the batch had %d", len(event.Records), r.Batch.Size)
	}
	for i := range event.Records {
		if event.Records[i].EventID == "" || event.Records[i].Kinesis.PartitionKey == "" {
			return GivenUp{}, fmt.Errorf("record %d of its payload has no eventID or no partitionKey", i)
		}
	}
	return GivenUp{Reason: r.RequestContext.Condition, Stream: r.Batch.Stream, Shard: r.Batch.Shard, Records: event.Records}, nil
}

// parsePayload parses the event that the function got. AWS documents it as JSON within a text;
// an emulator that is tested against AWS has it as an object.
func parsePayload(raw json.RawMessage) (event events.KinesisEvent, err error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = json.RawMessage(text)
	}
	err = json.Unmarshal(raw, &event)
	return event, err
}
