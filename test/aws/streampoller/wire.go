package streampoller

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// InvocationRecord is what an on-failure destination in S3 gets: the position of the records
// in the stream, and the records as the function gets them.
type InvocationRecord struct {
	RequestContext   RequestContext   `json:"requestContext"`
	ResponseContext  *ResponseContext `json:"responseContext,omitempty"` // nil if the function did not run
	Version          string           `json:"version"`
	Timestamp        string           `json:"timestamp"`
	KinesisBatchInfo KinesisBatchInfo `json:"KinesisBatchInfo"`
	Payload          string           `json:"payload"`
}

// RequestContext says what was discarded and why: RetryAttemptsExhausted or
// RecordAgeExceeded.
type RequestContext struct {
	RequestID              string `json:"requestId"`
	FunctionARN            string `json:"functionArn"`
	Condition              string `json:"condition"`
	ApproximateInvokeCount int    `json:"approximateInvokeCount"`
}

// ResponseContext describes the function's last response.
type ResponseContext struct {
	StatusCode      int     `json:"statusCode"`
	ExecutedVersion string  `json:"executedVersion"`
	FunctionError   *string `json:"functionError"` // nil after a partial response
}

// KinesisBatchInfo is the position of the records in the stream.
type KinesisBatchInfo struct {
	ShardID                         string `json:"shardId"`
	StartSequenceNumber             string `json:"startSequenceNumber"`
	EndSequenceNumber               string `json:"endSequenceNumber"`
	ApproximateArrivalOfFirstRecord string `json:"approximateArrivalOfFirstRecord"`
	ApproximateArrivalOfLastRecord  string `json:"approximateArrivalOfLastRecord"`
	BatchSize                       int    `json:"batchSize"`
	StreamARN                       string `json:"streamArn"`
}

// eventRecord is a record as the function gets it. The types of aws-lambda-go would
// encode its time with rounding errors.
type eventRecord struct {
	Kinesis           kinesisRecord `json:"kinesis"`
	EventSource       string        `json:"eventSource"`
	EventVersion      string        `json:"eventVersion"`
	EventID           string        `json:"eventID"`
	EventName         string        `json:"eventName"`
	InvokeIdentityARN string        `json:"invokeIdentityArn"`
	AWSRegion         string        `json:"awsRegion"`
	EventSourceARN    string        `json:"eventSourceARN"`
}

type kinesisRecord struct {
	KinesisSchemaVersion        string  `json:"kinesisSchemaVersion"`
	PartitionKey                string  `json:"partitionKey"`
	SequenceNumber              string  `json:"sequenceNumber"`
	Data                        []byte  `json:"data"`
	ApproximateArrivalTimestamp float64 `json:"approximateArrivalTimestamp"` // s since 1970
}

// encode encodes a record as shown in
// https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html.
func encode(streamARN, function, shard string, r Record) []byte {
	arn := strings.Split(streamARN, ":")
	event, err := json.Marshal(eventRecord{
		Kinesis: kinesisRecord{
			KinesisSchemaVersion:        "1.0",
			PartitionKey:                r.PartitionKey,
			SequenceNumber:              r.Sequence,
			Data:                        r.Data,
			ApproximateArrivalTimestamp: float64(r.Arrival.UnixMilli()) / 1000,
		},
		EventSource:       "aws:kinesis",
		EventVersion:      "1.0",
		EventID:           shard + ":" + r.Sequence,
		EventName:         "aws:kinesis:record",
		InvokeIdentityARN: "arn:aws:iam::" + arn[4] + ":role/" + function,
		AWSRegion:         arn[3],
		EventSourceARN:    streamARN,
	})
	if err != nil {
		panic(err) // text, numbers and bytes
	}
	return event
}

// Payload returns the payload with which a stream's event source mapping invokes a
// function for records of one shard.
func Payload(streamARN, function, shard string, records []Record) []byte {
	list := make([][]byte, len(records))
	for i, r := range records {
		list[i] = encode(streamARN, function, shard, r)
	}
	return frame(list)
}

// GivenUp returns the object that Lambda writes for records of one shard that it gave up on
// without invoking the function.
func GivenUp(streamARN, function, shard, condition string, records []Record) []byte {
	p, err := New(Options{StreamARN: streamARN, Function: function})
	if err != nil {
		panic(err) // the caller's ARN
	}
	from := piece{records: make([]*record, len(records))}
	for i, r := range records {
		from.records[i] = &record{Record: r, event: encode(streamARN, function, shard, r)}
	}
	return p.invocationRecord(shard, from, condition)
}

// emptyFrame is the JSON around the records.
const emptyFrame = `{"Records":[]}`

func frame(records [][]byte) []byte {
	return slices.Concat([]byte(`{"Records":[`), bytes.Join(records, []byte(",")), []byte(`]}`))
}

// firstFailure returns the index of the first record that a response with
// ReportBatchItemFailures names, none, or all. An empty or null response and an empty
// or null list mean success. An identifier that is empty, null, misspelt or not in
// the batch, and any other response, mean that the whole batch failed. Names are
// compared exactly.
func firstFailure(response []byte, records []*record) int {
	response = bytes.TrimSpace(response)
	if len(response) == 0 || string(response) == "null" {
		return none
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(response, &object) != nil {
		return all
	}
	list := object["batchItemFailures"]
	if list == nil {
		return none
	}
	var failures []map[string]json.RawMessage
	if json.Unmarshal(list, &failures) != nil {
		return all
	}
	index := make(map[string]int, len(records))
	for i, rec := range records {
		index[rec.Sequence] = i
	}
	first := none
	for _, f := range failures {
		var id string
		if json.Unmarshal(f["itemIdentifier"], &id) != nil {
			return all
		}
		i, known := index[id]
		if !known {
			return all
		}
		if first == none || i < first {
			first = i
		}
	}
	return first
}
