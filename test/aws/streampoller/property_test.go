package streampoller_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/test/aws/streampoller"
)

// world is a stream that is written and resharded while a poller reads it, and a
// function that fails in every way. It checks which records each invocation gets.
type world struct {
	poller  *streampoller.Poller
	stream  *fakeStream
	options streampoller.Options

	mu       sync.Mutex
	rng      *rand.Rand
	trouble  float64             // probability of each failure
	keys     map[string][]string // sequence numbers by key, in the order of the puts
	key      map[string]string
	poison   map[string]bool
	finished map[string]bool // succeeded or discarded
	failed   map[string]bool // discarded
	lanes    map[string]bool // with an invocation in flight
	batches  [][]string      // sent and answered
	broken   []string
}

func TestRecordsFinishInOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := streampoller.Options{
			StreamARN:                  streamARN,
			Function:                   "fanout",
			BatchSize:                  rapid.IntRange(1, 8).Draw(rt, "batch"),
			ParallelizationFactor:      rapid.IntRange(1, 4).Draw(rt, "factor"),
			BatchingWindow:             time.Duration(rapid.IntRange(0, 2).Draw(rt, "window")) * time.Second,
			ReportBatchItemFailures:    rapid.Bool().Draw(rt, "report"),
			BisectBatchOnFunctionError: rapid.Bool().Draw(rt, "bisect"),
			MaximumRetryAttempts:       rapid.IntRange(-1, 4).Draw(rt, "retries"),
		}
		shards := rapid.IntRange(1, 3).Draw(rt, "shards")
		steps := rapid.SliceOfN(rapid.IntRange(0, 11), 1, 60).Draw(rt, "steps")
		trouble := float64(rapid.IntRange(0, 5).Draw(rt, "trouble")) / 20
		seed := rapid.Uint64().Draw(rt, "seed")
		rapid.SyncTest(rt, func(rt *rapid.T) {
			w := newWorld(o, shards, trouble, seed)
			w.run(steps)
			if len(w.broken) > 0 {
				rt.Fatalf("%s", strings.Join(w.broken, "\n"))
			}
		})
	})
}

func newWorld(o streampoller.Options, shards int, trouble float64, seed uint64) *world {
	w := &world{
		stream:   newStream(shards),
		rng:      rand.New(rand.NewPCG(seed, 1)),
		trouble:  trouble,
		keys:     map[string][]string{},
		key:      map[string]string{},
		poison:   map[string]bool{},
		finished: map[string]bool{},
		failed:   map[string]bool{},
		lanes:    map[string]bool{},
	}
	w.stream.flaky = func() bool { return w.chance(trouble) }
	o.Stream, o.Invoker, o.OnFailure = w.stream, invokerFunc(w.invoke), w.giveUp
	o.Hooks.Before, o.Hooks.After, o.Hooks.Again = w.before, w.after, w.again
	w.options = o
	p, err := streampoller.New(o)
	if err != nil {
		panic(err)
	}
	w.poller = p
	return w
}

func (w *world) run(steps []int) {
	w.poller.Start()
	for i, step := range steps {
		switch step {
		case 0:
			w.stream.split(i)
		case 1:
			w.stream.merge(i)
		case 2:
			w.poller.Stop()
			w.poller.Start()
		case 3, 4:
			time.Sleep(time.Duration(step) * time.Second)
		default:
			w.put(step)
		}
	}
	for range 3600 {
		time.Sleep(10 * time.Second) // each shard is read at least once
		if w.poller.Idle() {
			break
		}
	}
	w.poller.Stop()
	for number := range w.key {
		if !w.finished[number] {
			w.fault("record %s of %s is not finished", number, w.key[number])
		}
		if w.failed[number] && w.options.MaximumRetryAttempts < 0 {
			w.fault("record %s was given up", number)
		}
	}
	w.checkpoints()
}

func (w *world) put(n int) {
	for range n {
		w.mu.Lock()
		key := fmt.Sprintf("tenant-%d", w.rng.IntN(6))
		number := w.stream.put(key, []byte("x"))
		w.keys[key] = append(w.keys[key], number)
		w.key[number] = key
		w.poison[number] = w.options.MaximumRetryAttempts >= 0 && w.rng.Float64() < w.trouble/2
		w.mu.Unlock()
	}
}

func (w *world) before(b streampoller.Batch) {
	w.checkpoints()
	w.mu.Lock()
	defer w.mu.Unlock()
	lane := fmt.Sprint(b.Shard, b.Lane)
	if w.lanes[lane] {
		w.fault("two invocations at a time for %s", lane)
	}
	w.lanes[lane] = true
	if len(b.Records) == 0 || len(b.Records) > w.options.BatchSize {
		w.fault("a batch of %d", len(b.Records))
	}
	var numbers []string
	for _, rec := range b.Records {
		for _, earlier := range w.keys[rec.PartitionKey] {
			if earlier >= rec.Sequence {
				break
			}
			if !w.finished[earlier] && !slices.Contains(numbers, earlier) {
				w.fault("%s was sent before %s of the same key was finished", rec.Sequence, earlier)
			}
		}
		numbers = append(numbers, rec.Sequence)
	}
	if !slices.IsSorted(numbers) {
		w.fault("a batch out of order: %v", numbers)
	}
}

// checkpoints checks that all records before each checkpoint are finished.
func (w *world) checkpoints() {
	points := w.poller.Checkpoints()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stream.mu.Lock()
	defer w.stream.mu.Unlock()
	for id, point := range points {
		for _, rec := range w.stream.shard(id).records {
			if *rec.SequenceNumber <= point && !w.finished[*rec.SequenceNumber] {
				w.fault("the checkpoint of %s is beyond %s, which is not finished", id, *rec.SequenceNumber)
			}
		}
	}
}

func (w *world) after(b streampoller.Batch, _ streampoller.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.lanes, fmt.Sprint(b.Shard, b.Lane))
	var numbers []string
	for _, rec := range b.Records {
		numbers = append(numbers, rec.Sequence)
	}
	w.batches = append(w.batches, numbers)
}

func (w *world) again(streampoller.Batch) streampoller.Redelivery {
	if !w.chance(w.trouble) {
		return streampoller.Once
	}
	if w.chance(0.5) {
		return streampoller.Duplicate
	}
	return streampoller.Overlap
}

// invoke is the function: it finishes records in order and fails in between.
func (w *world) invoke(payload []byte) (string, string, error) {
	w.mu.Lock()
	delay := time.Duration(w.rng.IntN(300)) * time.Millisecond
	w.mu.Unlock()
	time.Sleep(delay)
	w.mu.Lock()
	defer w.mu.Unlock()
	var event events.KinesisEvent
	if err := json.Unmarshal(payload, &event); err != nil {
		w.fault("the event: %v", err)
	}
	switch r := w.rng.Float64(); {
	case r < w.trouble/2:
		return "", "", errors.New("throttled")
	case r < w.trouble:
		return "", "Unhandled", nil
	case r < w.trouble*1.2 && w.options.ReportBatchItemFailures:
		return `{"batchItemFailures":[{"itemIdentifier":"1"}]}`, "", nil
	}
	for i, rec := range event.Records {
		number := rec.Kinesis.SequenceNumber
		if !w.poison[number] && w.rng.Float64() >= w.trouble/4 {
			continue
		}
		if !w.options.ReportBatchItemFailures {
			return "", "Unhandled", nil
		}
		w.finish(event.Records[:i])
		return fmt.Sprintf(`{"batchItemFailures":[{"itemIdentifier":%q}]}`, number), "", nil
	}
	w.finish(event.Records)
	return "null", "", nil
}

func (w *world) finish(records []events.KinesisEventRecord) {
	for _, rec := range records {
		w.finished[rec.Kinesis.SequenceNumber] = true
	}
}

// giveUp finds the batch of an invocation record: the last one with its first and
// last records.
func (w *world) giveUp(_ context.Context, text []byte) error {
	if w.chance(w.trouble) {
		return errors.New("no queue")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var record streampoller.InvocationRecord
	if err := json.Unmarshal(text, &record); err != nil {
		return err
	}
	info := record.KinesisBatchInfo
	for _, batch := range slices.Backward(w.batches) {
		from, to := slices.Index(batch, info.StartSequenceNumber), slices.Index(batch, info.EndSequenceNumber)
		if from < 0 || to < 0 {
			continue
		}
		for _, number := range batch[from : to+1] {
			w.finished[number], w.failed[number] = true, true
		}
		if to+1-from != info.BatchSize {
			w.fault("a batch of %d was given up as %d", to+1-from, info.BatchSize)
		}
		return nil
	}
	w.fault("given up without an invocation: %s", text)
	return nil
}

func (w *world) chance(p float64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.Float64() < p
}

// fault records a violation. The caller must hold the lock or have no concurrent
// callers.
func (w *world) fault(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
}
