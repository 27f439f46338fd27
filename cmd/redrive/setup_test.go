package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	wire "github.com/sluicehq/sluice/internal/publish/kinesis"
)

var errFault = errors.New("the connection was reset")

// world is a fake queue, stream of one shard, and bucket. It records every change in
// order.
type world struct {
	t       *testing.T
	changes []string

	messages []message
	records  []types.Record // of the shard, by number
	closed   bool           // the shard
	noShard  bool
	page     int // records of a response
	objects  map[string]string

	refuse    func(call int, entry int) bool // whether to reject an entry of a PutRecords
	failing   map[string]error               // by the name of a call
	puts      int
	put       []types.PutRecordsRequestEntry
	interrupt func()
	stored    time.Time // when its objects were
}

type message struct {
	id, body string
	hidden   bool
}

func newWorld(t *testing.T) *world {
	return &world{t: t, page: 2, objects: map[string]string{}, failing: map[string]error{}}
}

func (w *world) note(format string, args ...any) {
	w.changes = append(w.changes, fmt.Sprintf(format, args...))
}

// command runs the command on the world.
func (w *world) command(in string, args ...string) (code int, out, stderr string) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	w.interrupt = cancel
	var o, e bytes.Buffer
	code = run(ctx, append([]string{"--stream", "events"}, args...), &env{
		in: strings.NewReader(in), out: &o, err: &e,
		open:  func(context.Context) (clients, error) { return clients{queue: w, stream: w, objects: bucket{w}}, nil },
		sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	})
	return code, o.String(), e.String()
}

// publish adds records to the shard, with the numbers from 100 on.
func (w *world) publish(keys ...string) {
	for _, key := range keys {
		n := 100 + len(w.records)
		w.records = append(w.records, types.Record{PartitionKey: aws.String(key), SequenceNumber: aws.String(strconv.Itoa(n)), Data: data(n)})
	}
}

// data returns the data of a record with one event.
func data(n int) []byte {
	return wire.Encode([]event.Event{event.Draft{
		ID: fmt.Sprintf("01890000-0000-7000-8000-%012d", n), Name: "order.created", Payload: []byte(`{}`),
	}.Stamp("acme", time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC))})
}

// deadLettered adds a message about a batch.
func (w *world) deadLettered(id string, start, end, size int) {
	w.messages = append(w.messages, message{id: id, body: about("arn:aws:kinesis:eu-central-1:123456789012:stream/events", strconv.Itoa(start), strconv.Itoa(end), size)})
}

// about returns a message as Lambda sends it.
func about(stream, start, end string, size int) string {
	text, err := json.Marshal(map[string]any{
		"requestContext": map[string]any{"requestId": "c9b8fa9f", "functionArn": "arn:aws:lambda:eu-central-1:123456789012:function:fanout", "condition": "RecordAgeExceeded", "approximateInvokeCount": 1},
		"version":        "1.0", "timestamp": "2025-06-02T12:00:06.021Z",
		"KinesisBatchInfo": map[string]any{
			"shardId": "shardId-000000000000", "startSequenceNumber": start, "endSequenceNumber": end,
			"approximateArrivalOfFirstRecord": "2025-06-01T12:00:04.835Z", "approximateArrivalOfLastRecord": "2025-06-01T12:00:05.58Z",
			"batchSize": size, "streamArn": stream,
		},
	})
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (w *world) GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error) {
	return &sqs.GetQueueAttributesOutput{Attributes: map[string]string{"ApproximateNumberOfMessages": strconv.Itoa(len(w.messages))}}, w.failing["GetQueueAttributes"]
}

func (w *world) ReceiveMessage(_ context.Context, in *sqs.ReceiveMessageInput, _ ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error) {
	if in.VisibilityTimeout < 60 {
		w.t.Errorf("a message is hidden for %d s", in.VisibilityTimeout)
	}
	for i := range w.messages {
		if m := &w.messages[i]; !m.hidden {
			m.hidden = true
			return &sqs.ReceiveMessageOutput{Messages: []sqstypes.Message{{MessageId: &m.id, Body: &m.body, ReceiptHandle: aws.String("receipt of " + m.id)}}}, nil
		}
	}
	return &sqs.ReceiveMessageOutput{}, nil
}

func (w *world) message(receipt *string) int {
	return slices.IndexFunc(w.messages, func(m message) bool { return "receipt of "+m.id == *receipt })
}

func (w *world) DeleteMessage(_ context.Context, in *sqs.DeleteMessageInput, _ ...func(*sqs.Options)) (*sqs.DeleteMessageOutput, error) {
	if err := w.failing["DeleteMessage"]; err != nil {
		return nil, err
	}
	i := w.message(in.ReceiptHandle)
	w.note("delete message %s", w.messages[i].id)
	w.messages = slices.Delete(w.messages, i, i+1)
	return &sqs.DeleteMessageOutput{}, nil
}

func (w *world) ChangeMessageVisibility(ctx context.Context, in *sqs.ChangeMessageVisibilityInput, _ ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityOutput, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w.messages[w.message(in.ReceiptHandle)].hidden = in.VisibilityTimeout > 0
	return &sqs.ChangeMessageVisibilityOutput{}, nil
}

func (w *world) GetShardIterator(_ context.Context, in *kinesis.GetShardIteratorInput, _ ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error) {
	if w.noShard {
		return nil, &types.ResourceNotFoundException{Message: aws.String("Shard shardId-000000000000 in stream events not found")}
	}
	if in.ShardIteratorType != types.ShardIteratorTypeAtSequenceNumber || *in.StreamName != "events" || *in.ShardId != "shardId-000000000000" {
		w.t.Errorf("an iterator %s of %s %s", in.ShardIteratorType, *in.StreamName, *in.ShardId)
	}
	return &kinesis.GetShardIteratorOutput{ShardIterator: in.StartingSequenceNumber}, nil
}

// GetRecords takes the number to read from as the iterator. Before each page it returns
// an empty one, as Kinesis sometimes does.
func (w *world) GetRecords(_ context.Context, in *kinesis.GetRecordsInput, _ ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	from, second := strings.CutSuffix(*in.ShardIterator, " again")
	var left []types.Record
	for _, r := range w.records {
		if eventlog.CompareSequences(*r.SequenceNumber, from) >= 0 {
			left = append(left, r)
		}
	}
	if len(left) > 0 && !second {
		return &kinesis.GetRecordsOutput{NextShardIterator: aws.String(from + " again"), MillisBehindLatest: aws.Int64(1)}, nil
	}
	page := left[:min(w.page, len(left))]
	out := &kinesis.GetRecordsOutput{Records: page, MillisBehindLatest: aws.Int64(int64(len(left) - len(page)))}
	if len(page) < len(left) || !w.closed {
		next := from
		if len(page) > 0 {
			n, _ := strconv.Atoi(*page[len(page)-1].SequenceNumber)
			next = strconv.Itoa(n + 1)
		}
		out.NextShardIterator = &next
	}
	return out, nil
}

func (w *world) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, _ ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w.puts++
	if err := w.failing["PutRecords"]; err != nil {
		return nil, err
	}
	out := &kinesis.PutRecordsOutput{}
	for i, entry := range in.Records {
		if w.refuse != nil && w.refuse(w.puts, i) {
			out.Records = append(out.Records, types.PutRecordsResultEntry{ErrorCode: aws.String("ProvisionedThroughputExceededException"), ErrorMessage: aws.String("Rate exceeded")})
			continue
		}
		w.note("put %s", w.name(entry))
		w.put = append(w.put, entry)
		out.Records = append(out.Records, types.PutRecordsResultEntry{SequenceNumber: aws.String("9")})
	}
	return out, nil
}

// name returns the partition key and the number of the record with the same data.
func (w *world) name(entry types.PutRecordsRequestEntry) string {
	for _, r := range w.records {
		if bytes.Equal(r.Data, entry.Data) && *r.PartitionKey == *entry.PartitionKey {
			return *r.PartitionKey + " " + *r.SequenceNumber
		}
	}
	return *entry.PartitionKey
}

// bucket is the fake bucket of the world.
type bucket struct{ *world }

func (b bucket) ListObjectsV2(_ context.Context, in *s3.ListObjectsV2Input, _ ...func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
	if err := b.failing["ListObjectsV2"]; err != nil {
		return nil, err
	}
	var keys []string
	for key := range b.world.objects {
		if strings.HasPrefix(key, *in.Prefix) && key > aws.ToString(in.ContinuationToken) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	out := &s3.ListObjectsV2Output{IsTruncated: aws.Bool(len(keys) > 1)}
	if len(keys) > 0 { // one per page
		out.Contents, out.NextContinuationToken = []s3types.Object{{Key: &keys[0], LastModified: &b.stored}}, &keys[0]
	}
	return out, nil
}

func (b bucket) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	return &s3.GetObjectOutput{Body: io.NopCloser(strings.NewReader(b.world.objects[*in.Key]))}, nil
}

func (b bucket) DeleteObject(_ context.Context, in *s3.DeleteObjectInput, _ ...func(*s3.Options)) (*s3.DeleteObjectOutput, error) {
	if err := b.failing["DeleteObject"]; err != nil {
		return nil, err
	}
	b.note("delete object %s", *in.Key)
	delete(b.world.objects, *in.Key)
	return &s3.DeleteObjectOutput{}, nil
}
