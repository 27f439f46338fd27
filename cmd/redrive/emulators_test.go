package main

import (
	"bytes"
	"context"
	"os"
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

	"github.com/sluicehq/sluice/test/aws/emulators"
	"github.com/sluicehq/sluice/test/aws/streampoller"
)

func TestMain(m *testing.M) { os.Exit(emulators.Run(m)) }

// account holds an operator's resources, in emulators.
type account struct {
	t       *testing.T
	clients clients
	kinesis *kinesis.Client
	s3      *s3.Client
}

func newAccount(t *testing.T) *account {
	a := &account{t: t, kinesis: emulators.Kinesis(t)}
	c := clientsOf(emulators.Moto(t))
	a.s3 = c.objects.(*s3.Client)
	a.clients = clients{objects: a.s3, stream: a.kinesis}
	ctx := t.Context()
	_, err := a.kinesis.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String("events"), ShardCount: aws.Int32(1)})
	a.check(err)
	a.ready()
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

// store stores an object.
func (a *account) store(key, text string) {
	a.t.Helper()
	_, err := a.s3.PutObject(a.t.Context(), &s3.PutObjectInput{Bucket: aws.String("quarantine"), Key: &key, Body: strings.NewReader(text)})
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
	code = run(a.t.Context(), append([]string{"--stream", "events", "--yes", "--bucket", "quarantine"}, args...), &env{
		in: strings.NewReader(""), out: &o, err: &o, sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		open: func(context.Context) (clients, error) { return a.clients, nil },
	})
	return code, o.String()
}

// A batch that was given up, and an object, are put back. The records of the batch are in
// the stream no more.
func TestAgainstEmulators(t *testing.T) {
	a := newAccount(t)
	var records []streampoller.Record
	for n := range 3 {
		records = append(records, streampoller.Record{PartitionKey: "0#acme", Sequence: strconv.Itoa(n), Data: data(n), Arrival: arrival})
	}
	a.store("aws/lambda/m/s/1", object(eventsStream, records...))
	a.store("aws/lambda/m/s/2", "hello") // is kept
	a.store("malformed/s/1.json", quarantinedText("1#acme", data(9)))

	if code, out := a.run("--dry-run"); code != exitKept || len(a.open()) != 0 {
		t.Fatalf("dry run: code %d, %s", code, out)
	}
	if code, out := a.run(); code != exitKept || !strings.Contains(out, "2 put back (4 records), 1 kept") {
		t.Errorf("code %d, %s", code, out)
	}
	var got []string
	for _, r := range a.open() {
		got = append(got, *r.PartitionKey+" "+string(r.Data))
	}
	want := []string{"0#acme " + string(data(0)), "0#acme " + string(data(1)), "0#acme " + string(data(2)), "1#acme " + string(data(9))}
	slices.Sort(got)
	slices.Sort(want)
	same(t, "records on the open shards", want, got)

	code, out := a.run()
	if code != exitKept || !strings.Contains(out, "0 put back (0 records), 1 kept") {
		t.Errorf("a second run: code %d, %s", code, out)
	}
}
