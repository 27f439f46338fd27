package streampoller_test

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

const streamARN = "arn:aws:kinesis:eu-west-1:123456789012:stream/events"

// fakeStream is an in-memory stream.
type fakeStream struct {
	mu       sync.Mutex
	shards   []*fakeShard
	sequence int
	flaky    func() bool // whether the next call fails
}

type fakeShard struct {
	id       string
	from, to uint32 // of the hash of a partition key, both included
	parents  []string
	closed   bool
	records  []types.Record
}

var errFlaky = errors.New("the stream failed")

func newStream(shards int) *fakeStream {
	s := &fakeStream{flaky: func() bool { return false }}
	width := uint32(math.MaxUint32 / uint32(shards))
	for i := range uint32(shards) {
		to := (i+1)*width - 1
		if int(i) == shards-1 {
			to = math.MaxUint32
		}
		s.add(i*width, to)
	}
	return s
}

func (s *fakeStream) add(from, to uint32, parents ...string) {
	id := fmt.Sprintf("shardId-%012d", len(s.shards))
	s.shards = append(s.shards, &fakeShard{id: id, from: from, to: to, parents: parents})
}

// put adds a record and returns its sequence number.
func (s *fakeStream) put(key string, data []byte) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := crc32.ChecksumIEEE([]byte(key))
	s.sequence++
	number := fmt.Sprintf("49%054d", s.sequence)
	for _, shard := range s.shards {
		if !shard.closed && shard.from <= hash && hash <= shard.to {
			shard.records = append(shard.records, types.Record{
				SequenceNumber:              aws.String(number),
				PartitionKey:                aws.String(key),
				Data:                        data,
				ApproximateArrivalTimestamp: aws.Time(time.Now()),
			})
			return number
		}
	}
	panic("no shard for " + key)
}

// split splits the open shard with the index among the open ones.
func (s *fakeStream) split(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := s.open()
	shard := open[n%len(open)]
	if shard.to-shard.from < 16 {
		return
	}
	shard.closed = true
	half := shard.from + (shard.to-shard.from)/2
	s.add(shard.from, half, shard.id)
	s.add(half+1, shard.to, shard.id)
}

// merge merges the open shard with the index with the next one.
func (s *fakeStream) merge(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := s.open()
	left := open[n%len(open)]
	for _, right := range open {
		if left.to != math.MaxUint32 && right.from == left.to+1 {
			left.closed, right.closed = true, true
			s.add(left.from, right.to, left.id, right.id)
			return
		}
	}
}

func (s *fakeStream) open() []*fakeShard {
	var open []*fakeShard
	for _, shard := range s.shards {
		if !shard.closed {
			open = append(open, shard)
		}
	}
	return open
}

func (s *fakeStream) ListShards(_ context.Context, in *kinesis.ListShardsInput, _ ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	if s.flaky() {
		return nil, errFlaky
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Pages of two, so that the poller must page.
	start, _ := strconv.Atoi(aws.ToString(in.NextToken))
	out := &kinesis.ListShardsOutput{}
	for i := start; i < len(s.shards); i++ {
		if i == start+2 {
			out.NextToken = aws.String(strconv.Itoa(i))
			break
		}
		shard := types.Shard{ShardId: aws.String(s.shards[i].id)}
		if p := s.shards[i].parents; len(p) > 0 {
			shard.ParentShardId = aws.String(p[0])
		}
		if p := s.shards[i].parents; len(p) > 1 {
			shard.AdjacentParentShardId = aws.String(p[1])
		}
		out.Shards = append(out.Shards, shard)
	}
	return out, nil
}

func (s *fakeStream) GetShardIterator(_ context.Context, in *kinesis.GetShardIteratorInput, _ ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error) {
	if s.flaky() {
		return nil, errFlaky
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	shard := s.shard(*in.ShardId)
	at := 0
	for at < len(shard.records) {
		rec := shard.records[at]
		if in.ShardIteratorType == types.ShardIteratorTypeTrimHorizon ||
			in.ShardIteratorType == types.ShardIteratorTypeAfterSequenceNumber && *rec.SequenceNumber > *in.StartingSequenceNumber {
			break
		}
		at++
	}
	return &kinesis.GetShardIteratorOutput{ShardIterator: aws.String(fmt.Sprintf("%s/%d", shard.id, at))}, nil
}

func (s *fakeStream) GetRecords(_ context.Context, in *kinesis.GetRecordsInput, _ ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	if s.flaky() {
		return nil, errFlaky
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id, number, _ := strings.Cut(*in.ShardIterator, "/")
	shard := s.shard(id)
	from, err := strconv.Atoi(number)
	if err != nil {
		return nil, err
	}
	to := min(from+int(*in.Limit), len(shard.records))
	out := &kinesis.GetRecordsOutput{Records: shard.records[from:to], MillisBehindLatest: aws.Int64(0)}
	if !shard.closed || to < len(shard.records) {
		out.NextShardIterator = aws.String(fmt.Sprintf("%s/%d", id, to))
	}
	return out, nil
}

func (s *fakeStream) shard(id string) *fakeShard {
	for _, shard := range s.shards {
		if shard.id == id {
			return shard
		}
	}
	panic("no shard " + id)
}

// invokerFunc is an Invoker.
type invokerFunc func(payload []byte) (string, string, error)

func (f invokerFunc) Invoke(_ context.Context, _ string, payload []byte) ([]byte, string, error) {
	result, functionError, err := f(payload)
	return []byte(result), functionError, err
}
