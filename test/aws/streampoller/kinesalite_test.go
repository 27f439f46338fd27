package streampoller_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/sluicehq/sluice/test/aws/emulators"
	"github.com/sluicehq/sluice/test/aws/streampoller"
)

func TestMain(m *testing.M) { os.Exit(emulators.Run(m)) }

// The poller follows a real stream through a split.
func TestSplitStream(t *testing.T) {
	t.Parallel()
	client := emulators.Kinesis(t)
	ctx := t.Context()
	name := aws.String(fmt.Sprintf("streampoller-%d", time.Now().UnixNano()))
	active := func() {
		t.Helper()
		waiter := kinesis.NewStreamExistsWaiter(client, func(o *kinesis.StreamExistsWaiterOptions) { o.MinDelay = 50 * time.Millisecond })
		if err := waiter.Wait(ctx, &kinesis.DescribeStreamInput{StreamName: name}, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: name, ShardCount: aws.Int32(1)}); err != nil {
		t.Fatal(err)
	}
	active()
	var mu sync.Mutex
	var got []string
	done := make(chan struct{})
	p, err := streampoller.New(streampoller.Options{
		Stream: client, StreamARN: "arn:aws:kinesis:eu-west-1:123456789012:stream/" + *name, MaximumRetryAttempts: -1,
		ParallelizationFactor: 2, PollInterval: 20 * time.Millisecond,
		Invoker: invokerFunc(func(payload []byte) (string, string, error) {
			mu.Lock()
			defer mu.Unlock()
			var event events.KinesisEvent
			if err := json.Unmarshal(payload, &event); err != nil {
				t.Error(err)
			}
			for _, rec := range event.Records {
				got = append(got, string(rec.Kinesis.Data))
			}
			if len(got) == 20 {
				close(done)
			}
			return "", "", nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Start()
	t.Cleanup(p.Stop)
	put := func(from int) {
		for i := from; i < from+10; i++ {
			_, err := client.PutRecord(ctx, &kinesis.PutRecordInput{
				StreamName: name, PartitionKey: aws.String(fmt.Sprint(i % 5)), Data: fmt.Appendf(nil, "%02d", i),
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	put(0)
	if _, err := client.SplitShard(ctx, &kinesis.SplitShardInput{
		StreamName: name, ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("170141183460469231731687303715884105728"),
	}); err != nil {
		t.Fatal(err)
	}
	active()
	put(10)
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Error("not all records came")
	}
	p.Stop()
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(got)
	for i, text := range got {
		if text != fmt.Sprintf("%02d", i) {
			t.Fatalf("got %v", got)
		}
	}
	if shards := p.Checkpoints(); len(shards) < 2 {
		t.Errorf("checkpoints of %v", shards)
	}
}
