package main

import (
	"bytes"
	"context"
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

	"github.com/sluicehq/sluice/internal/event"
	wire "github.com/sluicehq/sluice/internal/publish/kinesis"
	"github.com/sluicehq/sluice/test/aws/streampoller"
)

var errFault = errors.New("the connection was reset")

// world is a fake stream of one shard, and a bucket. It records every change in order.
type world struct {
	t       *testing.T
	changes []string

	records []streampoller.Record // that were on the shard, by number
	objects map[string]string

	refuse    func(call int, entry int) bool // whether to reject an entry of a PutRecords
	failing   map[string]error               // by the name of a call
	puts      int
	put       []types.PutRecordsRequestEntry
	interrupt func()
	stored    time.Time // when its objects were
}

func newWorld(t *testing.T) *world {
	return &world{t: t, objects: map[string]string{}, failing: map[string]error{}}
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
		open:  func(context.Context) (clients, error) { return clients{stream: w, objects: fakeBucket{w}}, nil },
		sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	})
	return code, o.String(), e.String()
}

// publish adds records to the shard, with the numbers from 100 on.
func (w *world) publish(keys ...string) {
	for _, key := range keys {
		n := 100 + len(w.records)
		w.records = append(w.records, streampoller.Record{PartitionKey: key, Sequence: strconv.Itoa(n), Data: data(n), Arrival: arrival})
	}
}

// data returns the data of a record with one event.
func data(n int) []byte {
	return wire.Encode([]event.Event{event.Draft{
		ID: fmt.Sprintf("01890000-0000-7000-8000-%012d", n), Name: "order.created", Payload: []byte(`{}`),
	}.Stamp("acme", time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC))})
}

// givenUpKey is the key of an object of Lambda, but for its last part.
const givenUpKey = "aws/lambda/91eaeb7e-c976-1234-9451-8709db01f137/shardId-000000000000/2025/06/02/2025-06-02T12.00.06-"

// givenUp adds the object of a batch: the records between two places. Objects sort by name.
func (w *world) givenUp(name string, from, to int) {
	w.objects[givenUpKey+name] = object(eventsStream, w.records[from:to]...)
}

const eventsStream = "arn:aws:kinesis:eu-central-1:123456789012:stream/events"

// object returns an object as Lambda writes it.
func object(stream string, records ...streampoller.Record) string {
	return string(streampoller.GivenUp(stream, "fanout", "shardId-000000000000", "RecordAgeExceeded", records))
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
		if bytes.Equal(r.Data, entry.Data) && r.PartitionKey == *entry.PartitionKey {
			return r.PartitionKey + " " + r.Sequence
		}
	}
	return *entry.PartitionKey
}

// fakeBucket is the bucket of the world.
type fakeBucket struct{ *world }

func (b fakeBucket) ListObjectsV2(_ context.Context, in *s3.ListObjectsV2Input, _ ...func(*s3.Options)) (*s3.ListObjectsV2Output, error) {
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

func (b fakeBucket) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	return &s3.GetObjectOutput{Body: io.NopCloser(strings.NewReader(b.world.objects[*in.Key]))}, nil
}

func (b fakeBucket) DeleteObject(_ context.Context, in *s3.DeleteObjectInput, _ ...func(*s3.Options)) (*s3.DeleteObjectOutput, error) {
	if err := b.failing["DeleteObject"]; err != nil {
		return nil, err
	}
	b.note("delete object %s", *in.Key)
	delete(b.world.objects, *in.Key)
	return &s3.DeleteObjectOutput{}, nil
}
