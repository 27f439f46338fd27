package aws

import (
	"context"
	"math/big"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/sluicehq/sluice/test/aws/stack"
	"github.com/sluicehq/sluice/test/aws/streampoller"
)

// unhurried has settings with which no subscriber is evicted because this machine
// is slow: an evicted subscriber may get the events in flight twice.
var unhurried = map[string]string{"SLUICE_FOLLOW_BUDGET": "20s", "SLUICE_WEBHOOK_TIMEOUT": "20s"}

// TestRepeats redelivers batches, whole or overlapping with later records, and
// splits and merges the stream's shards while events flow. Events already appended
// are recognized, and no receiver gets one twice.
func TestRepeats(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seed := rand.Uint64()
	random, repeated := rand.New(rand.NewPCG(seed, 3)), map[streampoller.Redelivery]int{}
	w := newWorld(t, stack.Options{Settings: unhurried, Hooks: streampoller.Hooks{
		Again: func(streampoller.Batch) streampoller.Redelivery {
			mu.Lock()
			defer mu.Unlock()
			kind := streampoller.Redelivery(random.IntN(3))
			repeated[kind]++
			return kind
		},
	}})
	w.publishOnce(t, 10)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.reshard(ctx, t)
	}()
	w.publishOnce(t, 20)
	<-done
	w.publishOnce(t, 3)
	mu.Lock()
	defer mu.Unlock()
	if repeated[streampoller.Duplicate] == 0 || repeated[streampoller.Overlap] == 0 {
		t.Errorf("redeliveries were %v (seed %d); that proves nothing", repeated, seed)
	}
	open := w.openShards(t)
	if len(open) != 1 || *open[0].ShardId == "shardId-000000000000" {
		t.Errorf("the open shards are %v", open)
	}
}

// publishOnce publishes for several tenants concurrently and fails the test unless
// every event arrives exactly once.
func (w *world) publishOnce(t *testing.T, calls int) {
	t.Helper()
	var rounds []*round
	var all []func()
	for range 4 {
		r := w.newRound(t)
		r.register("one", nil)
		r.register("two", nil)
		rounds = append(rounds, r)
		all = append(all, func() {
			for range calls {
				r.publish(5, 0)
				sleep(t.Context(), 50*time.Millisecond)
			}
		})
	}
	sideBySide(len(all), all...)
	w.until(t, "all arrived", func() bool {
		for _, r := range rounds {
			if r.lacks(r.receivers["one"])+r.lacks(r.receivers["two"]) > 0 {
				return false
			}
		}
		return true
	})
	w.until(t, "the stream is drained", w.Poller.Idle)
	for _, r := range rounds {
		for id, to := range r.receivers {
			for event, n := range to.taken() {
				if n != 1 {
					t.Errorf("%s of %s got %s %d times", id, r.name, event, n)
				}
			}
		}
	}
}

// reshard splits the only shard, splits one of the two again, and merges all.
func (w *world) reshard(ctx context.Context, t *testing.T) {
	steps := []func([]types.Shard) error{
		func(s []types.Shard) error { return w.split(ctx, s[0], "170141183460469231731687303715884105728") },
		func(s []types.Shard) error { return w.split(ctx, s[0], "85070591730234615865843651857942052864") },
		func(s []types.Shard) error { return w.merge(ctx, s[0], s[1]) },
		func(s []types.Shard) error { return w.merge(ctx, s[0], s[1]) },
	}
	for i, step := range steps {
		sleep(ctx, 400*time.Millisecond)
		if err := step(w.openShards(t)); err != nil {
			t.Errorf("step %d: %v", i, err)
			return
		}
		for ctx.Err() == nil {
			d, err := w.Kinesis.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &w.Stream})
			if err != nil {
				t.Errorf("step %d: %v", i, err)
				return
			}
			if d.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
				break
			}
			sleep(ctx, 10*time.Millisecond)
		}
	}
}

func (w *world) split(ctx context.Context, s types.Shard, at string) error {
	_, err := w.Kinesis.SplitShard(ctx, &kinesis.SplitShardInput{StreamName: &w.Stream, ShardToSplit: s.ShardId, NewStartingHashKey: &at})
	return err
}

func (w *world) merge(ctx context.Context, a, b types.Shard) error {
	_, err := w.Kinesis.MergeShards(ctx, &kinesis.MergeShardsInput{StreamName: &w.Stream, ShardToMerge: a.ShardId, AdjacentShardToMerge: b.ShardId})
	return err
}

// openShards returns the shards that accept records, ordered by hash key.
func (w *world) openShards(t *testing.T) []types.Shard {
	t.Helper()
	list, err := w.Kinesis.ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String(w.Stream)})
	if err != nil {
		t.Error(err)
		return nil
	}
	var open []types.Shard
	for _, s := range list.Shards {
		if s.SequenceNumberRange.EndingSequenceNumber == nil {
			open = append(open, s)
		}
	}
	slices.SortFunc(open, func(a, b types.Shard) int {
		return hashKey(a).Cmp(hashKey(b))
	})
	return open
}

func hashKey(s types.Shard) *big.Int {
	n, _ := new(big.Int).SetString(*s.HashKeyRange.StartingHashKey, 10)
	return n
}
