package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/sluicehq/sluice/internal/eventlog"
)

// stream is the part of the Kinesis API that is used; *kinesis.Client implements it.
type stream interface {
	reader
	writer
}

type reader interface {
	GetShardIterator(ctx context.Context, in *kinesis.GetShardIteratorInput, options ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error)
	GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, options ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error)
}

// source reads records from a stream.
type source struct {
	client reader
	name   string
	sleep  func(context.Context, time.Duration) error
}

// betweenReads leaves most of a shard's 5 reads a second to the function fanout.
const betweenReads = 500 * time.Millisecond

// read passes the batch's records to each, page by page. whole reports whether both
// the first and the last record were found: records past the stream's retention
// are gone. A closed shard is read like any other.
func (s *source) read(ctx context.Context, b batch, each func([]types.Record) error) (whole bool, err error) {
	at, err := s.client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
		StreamName: &s.name, ShardId: &b.shard,
		ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: &b.start,
	})
	if gone := (*types.ResourceNotFoundException)(nil); errors.As(err, &gone) {
		return false, fmt.Errorf("the stream %s no longer has the shard %s: its records are past the retention, or the stream was recreated under the same name: %w", s.name, b.shard, err)
	}
	if err != nil {
		return false, fmt.Errorf("find the batch in the stream: %w", err)
	}
	first, last := "", ""
	for iterator := at.ShardIterator; iterator != nil; {
		page, err := s.client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: iterator})
		if err != nil {
			return false, fmt.Errorf("read the batch from the stream: %w", err)
		}
		records, past := within(page.Records, b)
		if len(records) > 0 {
			if first == "" {
				first = aws.ToString(records[0].SequenceNumber)
			}
			last = aws.ToString(records[len(records)-1].SequenceNumber)
			if err := each(records); err != nil {
				return false, err
			}
		}
		if past || len(page.Records) == 0 && aws.ToInt64(page.MillisBehindLatest) == 0 {
			break
		}
		iterator = page.NextShardIterator
		if err := s.sleep(ctx, betweenReads); err != nil {
			return false, err
		}
	}
	return first != "" && eventlog.CompareSequences(first, b.start) == 0 && eventlog.CompareSequences(last, b.end) == 0, nil
}

// within returns the records that are in the batch's range, and whether the range
// ends with them.
func within(records []types.Record, b batch) (in []types.Record, past bool) {
	for i := range records {
		sequence := aws.ToString(records[i].SequenceNumber)
		if eventlog.CompareSequences(sequence, b.end) > 0 {
			return in, true
		}
		if eventlog.CompareSequences(sequence, b.start) >= 0 {
			in = append(in, records[i])
		}
		if eventlog.CompareSequences(sequence, b.end) == 0 {
			return in, true
		}
	}
	return in, false
}
