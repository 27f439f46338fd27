package main

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/sluicehq/sluice/test/aws/emulators"
)

func TestMain(m *testing.M) { os.Exit(emulators.Run(m)) }

// account holds an operator's resources, in emulators.
type account struct {
	t       *testing.T
	clients clients
	kinesis *kinesis.Client
	sqs     *sqs.Client
	s3      *s3.Client
	queue   string
}

func newAccount(t *testing.T) *account {
	a := &account{t: t, kinesis: emulators.Kinesis(t)}
	c := clientsOf(emulators.Moto(t))
	a.sqs, a.s3 = c.queue.(*sqs.Client), c.objects.(*s3.Client)
	a.clients = clients{queue: a.sqs, objects: a.s3, stream: a.kinesis}
	ctx := t.Context()
	_, err := a.kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("events"), ShardCount: aws.Int32(1)})
	a.check(err)
	a.ready()
	made, err := a.sqs.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("dlq")})
	a.check(err)
	a.queue = *made.QueueUrl
	_, err = a.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("quarantine"), CreateBucketConfiguration: &s3types.CreateBucketConfiguration{LocationConstraint: emulators.Region}})
	a.check(err)
	return a
}

func (a *account) check(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *account) ready() {
	a.t.Helper()
	waiter := kinesis.NewStreamExistsWaiter(a.kinesis, func(o *kinesis.StreamExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 10*time.Millisecond, time.Second
	})
	a.check(waiter.Wait(a.t.Context(), &kinesis.DescribeStreamInput{StreamName: aws.String("events")}, time.Minute))
}

// put puts a record and returns its sequence number.
func (a *account) put(key string, data []byte) string {
	a.t.Helper()
	out, err := a.kinesis.PutRecord(a.t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("events"), PartitionKey: &key, Data: data})
	a.check(err)
	return *out.SequenceNumber
}

func (a *account) deadLettered(start, end string, size int) {
	a.t.Helper()
	_, err := a.sqs.SendMessage(a.t.Context(), &sqs.SendMessageInput{QueueUrl: &a.queue, MessageBody: aws.String(about(eventsStream, start, end, size))})
	a.check(err)
}

// open returns the records of the open shards.
func (a *account) open() []types.Record {
	a.t.Helper()
	listed, err := a.kinesis.ListShards(a.t.Context(), &kinesis.ListShardsInput{StreamName: aws.String("events")})
	a.check(err)
	var records []types.Record
	for i := range listed.Shards {
		if listed.Shards[i].SequenceNumberRange.EndingSequenceNumber != nil {
			continue
		}
		at, err := a.kinesis.GetShardIterator(a.t.Context(), &kinesis.GetShardIteratorInput{StreamName: aws.String("events"), ShardId: listed.Shards[i].ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
		a.check(err)
		out, err := a.kinesis.GetRecords(a.t.Context(), &kinesis.GetRecordsInput{ShardIterator: at.ShardIterator})
		a.check(err)
		records = append(records, out.Records...)
	}
	return records
}

func (a *account) run(args ...string) (code int, out string) {
	var o bytes.Buffer
	code = run(a.t.Context(), append([]string{"--stream", "events", "--yes", "--queue", a.queue, "--bucket", "quarantine"}, args...), &env{
		in: strings.NewReader(""), out: &o, err: &o, sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		open: func(context.Context) (clients, error) { return a.clients, nil },
	})
	return code, o.String()
}

// A batch from a shard that has been split since, and an object, are put back.
func TestAgainstEmulators(t *testing.T) {
	a := newAccount(t)
	var numbers []string
	for n := range 5 {
		numbers = append(numbers, a.put("0#acme", data(n)))
	}
	_, err := a.kinesis.SplitShard(t.Context(), &kinesis.SplitShardInput{
		StreamName: aws.String("events"), ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("170141183460469231731687303715884105728"),
	})
	a.check(err)
	a.ready()
	a.deadLettered(numbers[1], numbers[3], 3)
	a.deadLettered("hello", numbers[3], 3) // is kept
	_, err = a.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("quarantine"), Key: aws.String("malformed/s/1.json"), Body: strings.NewReader(quarantinedText("1#acme", data(9)))})
	a.check(err)

	if code, out := a.run("--dry-run"); code != exitKept || len(a.open()) != 0 {
		t.Fatalf("dry run: code %d, %s", code, out)
	}
	// The dry run released the messages.
	if code, out := a.run(); code != exitKept || !strings.Contains(out, "2 put back (4 records), 1 kept") {
		t.Errorf("code %d, %s", code, out)
	}
	var got []string
	for _, r := range a.open() {
		got = append(got, *r.PartitionKey+" "+string(r.Data))
	}
	want := []string{"0#acme " + string(data(1)), "0#acme " + string(data(2)), "0#acme " + string(data(3)), "1#acme " + string(data(9))}
	slices.Sort(got)
	slices.Sort(want)
	same(t, "records on the open shards", want, got)

	code, out := a.run()
	if code != exitKept || !strings.Contains(out, "about 1 batches") || !strings.Contains(out, "0 put back (0 records), 1 kept") {
		t.Errorf("a second run: code %d, %s", code, out)
	}
}
