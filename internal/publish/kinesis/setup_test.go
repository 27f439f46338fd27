package kinesis

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/google/uuid"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/idempotency"
)

var now = time.Date(2025, 6, 1, 12, 0, 0, 123_456_789, time.UTC)

// stream is a fake data stream: it records what is put, and fails on demand.
type stream struct {
	t       *testing.T
	calls   int
	entries []int // of each call
	records []Record
	bytes   int // of the largest record
	// fails returns the error of a call, and which of its entries fail. If it is nil,
	// none fail.
	fails func(ctx context.Context, call int, records []Record) (failed []int, err error)
}

func (s *stream) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, options ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	var o kinesis.Options
	for _, option := range options {
		option(&o)
	}
	if o.RetryMaxAttempts != 1 {
		s.t.Errorf("the client tries %d times by itself", o.RetryMaxAttempts)
	}
	if got := aws.ToString(in.StreamName); got != "events" {
		s.t.Errorf("put on %q", got)
	}
	s.calls++
	s.entries = append(s.entries, len(in.Records))
	records := make([]Record, len(in.Records))
	total := 0
	for i, entry := range in.Records {
		size := len(entry.Data) + len(*entry.PartitionKey)
		total += size
		s.bytes = max(s.bytes, size)
		var err error
		if records[i], err = Decode(*entry.PartitionKey, entry.Data); err != nil {
			s.t.Error(err)
		}
	}
	if len(in.Records) == 0 || len(in.Records) > 500 || total > 5<<20 || s.bytes > 1<<20 {
		s.t.Errorf("a call of %d records, %d bytes, with one of %d", len(in.Records), total, s.bytes)
	}
	var failed []int
	if s.fails != nil {
		var err error
		if failed, err = s.fails(ctx, s.calls, records); err != nil {
			return nil, err
		}
	}
	out := &kinesis.PutRecordsOutput{Records: make([]types.PutRecordsResultEntry, len(records))}
	for _, i := range failed {
		out.Records[i] = types.PutRecordsResultEntry{
			ErrorCode:    aws.String("ProvisionedThroughputExceededException"),
			ErrorMessage: aws.String("Rate exceeded for shard 7 in stream events under account 111122223333."),
		}
	}
	for i := range records {
		if out.Records[i].ErrorCode == nil {
			s.records = append(s.records, records[i])
		}
	}
	return out, nil
}

// ids returns the ids of the events in the stream, by partition.
func (s *stream) ids() map[event.Partition][]string {
	ids := map[event.Partition][]string{}
	for _, r := range s.records {
		for _, e := range r.Events {
			ids[r.Partition] = append(ids[r.Partition], e.ID)
		}
	}
	return ids
}

func setup(t *testing.T) (*Stream, *stream) {
	client := &stream{t: t}
	return New(client, &claims{held: map[string]*idempotency.Claim{}}, "events", func() time.Time { return now }), client
}

// drafts have payloads of the given number of bytes.
func drafts(n, size int) []event.Draft {
	all := make([]event.Draft, n)
	for i := range all {
		payload := make([]byte, size)
		for j := range payload {
			payload[j] = "0123456789abcdef"[(i*31+j*j)%16]
		}
		id := uuid.NewSHA1(uuid.Nil, fmt.Append(nil, i)).String()
		all[i] = event.Draft{ID: id, Name: "order.created", Payload: append(append([]byte(`{"a":"`), payload...), `"}`...)}
	}
	return all
}

var errFault = errors.New("the connection was reset")
