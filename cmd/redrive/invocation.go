package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/eventlog"
)

// batch says where in the stream the records of a dead-lettered batch are.
type batch struct {
	stream, shard string // name and id
	start, end    string // sequence numbers of the first and the last record
	size          int    // records in the batch; others may lie between them
	reason        string // as Lambda states it
	arrived       time.Time
}

// invocationRecord is what Lambda sends to the on-failure destination of a Kinesis
// event source mapping:
// https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
type invocationRecord struct {
	RequestContext struct {
		Condition string `json:"condition"`
	} `json:"requestContext"`
	Batch *struct {
		ShardID string    `json:"shardId"`
		Start   string    `json:"startSequenceNumber"`
		End     string    `json:"endSequenceNumber"`
		First   time.Time `json:"approximateArrivalOfFirstRecord"`
		Size    int       `json:"batchSize"`
		Stream  string    `json:"streamArn"`
	} `json:"KinesisBatchInfo"`
}

// parseInvocation parses a message from the dead-letter queue.
func parseInvocation(text string) (batch, error) {
	var r invocationRecord
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return batch{}, fmt.Errorf("the message is not a record of a failed invocation: %w", err)
	}
	if r.Batch == nil {
		return batch{}, errors.New("the message has no KinesisBatchInfo; it was not sent by a Kinesis event source mapping")
	}
	b := batch{
		shard: r.Batch.ShardID, start: r.Batch.Start, end: r.Batch.End,
		size: r.Batch.Size, reason: r.RequestContext.Condition, arrived: r.Batch.First,
	}
	_, name, ok := strings.Cut(r.Batch.Stream, ":stream/")
	switch {
	case !ok || name == "":
		return batch{}, fmt.Errorf("KinesisBatchInfo: streamArn %q does not name a stream", r.Batch.Stream)
	case b.shard == "":
		return batch{}, errors.New("KinesisBatchInfo: shardId is missing")
	case !isSequence(b.start) || !isSequence(b.end) || eventlog.CompareSequences(b.start, b.end) > 0:
		return batch{}, fmt.Errorf("KinesisBatchInfo: %q to %q is not a range of sequence numbers", b.start, b.end)
	}
	b.stream = name
	return b, nil
}

func isSequence(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
