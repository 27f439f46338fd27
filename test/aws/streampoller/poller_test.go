package streampoller_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/test/aws/streampoller"
)

// rig is a stream of one shard and a function with scripted replies.
type rig struct {
	t       *testing.T
	stream  *fakeStream
	options streampoller.Options

	mu      sync.Mutex
	got     []string // what each invocation got: the data of its records
	payload []byte   // of the last one
	given   []streampoller.InvocationRecord
}

type reply struct {
	result, functionError string
	err                   error
}

// newRig returns a rig whose function gives the replies in order and then succeeds.
// The reply "fail x" names the record with the data x.
func newRig(t *testing.T, replies ...reply) *rig {
	r := &rig{t: t, stream: newStream(1)}
	r.options = streampoller.Options{
		Stream: r.stream, StreamARN: streamARN, Function: "fanout", MaximumRetryAttempts: -1,
		Invoker: invokerFunc(func(payload []byte) (string, string, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			var event events.KinesisEvent
			if err := json.Unmarshal(payload, &event); err != nil {
				t.Error(err)
			}
			var data []string
			numbers := map[string]string{}
			for _, rec := range event.Records {
				data = append(data, string(rec.Kinesis.Data))
				numbers[string(rec.Kinesis.Data)] = rec.Kinesis.SequenceNumber
			}
			r.got, r.payload = append(r.got, strings.Join(data, " ")), payload
			if len(replies) == 0 {
				return "", "", nil
			}
			next := replies[0]
			replies = replies[1:]
			if names, ok := strings.CutPrefix(next.result, "fail "); ok {
				var items []string
				for name := range strings.FieldsSeq(names) {
					items = append(items, fmt.Sprintf(`{"itemIdentifier":%q}`, numbers[name]))
				}
				next.result = `{"batchItemFailures":[` + strings.Join(items, ",") + `]}`
			}
			return next.result, next.functionError, next.err
		}),
		OnFailure: func(_ context.Context, text []byte) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			var record streampoller.InvocationRecord
			if err := json.Unmarshal(text, &record); err != nil {
				t.Error(err)
			}
			r.given = append(r.given, record)
			return nil
		},
	}
	return r
}

// run puts records of one key and lets the poller run for d.
func (r *rig) run(d time.Duration, data ...string) *streampoller.Poller {
	r.t.Helper()
	for _, text := range data {
		r.stream.put("key", []byte(text))
	}
	p, err := streampoller.New(r.options)
	if err != nil {
		r.t.Fatal(err)
	}
	p.Start()
	time.Sleep(d)
	p.Stop()
	return p
}

func (r *rig) want(want ...string) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if diff := cmp.Diff(want, r.got); diff != "" {
		r.t.Errorf("invocations (-want +got):\n%s", diff)
	}
}

func TestResponses(t *testing.T) {
	t.Parallel()
	broken := reply{functionError: "Unhandled"}
	for _, c := range []struct {
		name    string
		options func(*streampoller.Options)
		replies []reply
		want    []string
	}{
		{"null", reporting, []reply{{result: "null"}}, []string{"a b c"}},
		{"empty object", reporting, []reply{{result: "{}"}}, []string{"a b c"}},
		{"empty list", reporting, []reply{{result: `{"batchItemFailures":[]}`}}, []string{"a b c"}},
		{"null list", reporting, []reply{{result: `{"batchItemFailures":null}`}}, []string{"a b c"}},
		{"one", reporting, []reply{{result: "fail b"}}, []string{"a b c", "b c"}},
		{"the lowest counts", reporting, []reply{{result: "fail c b"}}, []string{"a b c", "b c"}},
		{"first", reporting, []reply{{result: "fail a"}}, []string{"a b c", "a b c"}},
		{"empty identifier", reporting, []reply{{result: `{"batchItemFailures":[{"itemIdentifier":""}]}`}}, []string{"a b c", "a b c"}},
		{"null identifier", reporting, []reply{{result: `{"batchItemFailures":[{"itemIdentifier":null}]}`}}, []string{"a b c", "a b c"}},
		{"misspelt key", reporting, []reply{{result: `{"batchItemFailures":[{"ItemIdentifier":"1"}]}`}}, []string{"a b c", "a b c"}},
		{"unknown", reporting, []reply{{result: `{"batchItemFailures":[{"itemIdentifier":"12"}]}`}}, []string{"a b c", "a b c"}},
		{"no object", reporting, []reply{{result: `"ok"`}}, []string{"a b c", "a b c"}},
		{"not asked for", nil, []reply{{result: "fail b"}}, []string{"a b c"}},
		{"function error", reporting, []reply{broken}, []string{"a b c", "a b c"}},
		{"not run", reporting, []reply{{err: errors.New("429")}}, []string{"a b c", "a b c"}},
		{
			"bisect", func(o *streampoller.Options) { o.BisectBatchOnFunctionError = true },
			[]reply{broken, {}, broken, broken},
			[]string{"a b c", "a", "b c", "b", "b", "c"},
		},
		{
			"bisect a partial response", func(o *streampoller.Options) { reporting(o); o.BisectBatchOnFunctionError = true },
			[]reply{{result: "fail b"}, {result: "fail b"}},
			[]string{"a b c", "b c", "b c"},
		},
		{"batches", func(o *streampoller.Options) { o.BatchSize = 2 }, nil, []string{"a b", "c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, c.replies...)
				if c.options != nil {
					c.options(&r.options)
				}
				p := r.run(time.Minute, "a", "b", "c")
				r.want(c.want...)
				if s := p.Stats(); s.Finished != 3 || s.Discarded != 0 {
					t.Errorf("stats %+v", s)
				}
			})
		})
	}
}

func reporting(o *streampoller.Options) { o.ReportBatchItemFailures = true }

func TestRetriesRunOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := reply{functionError: "Unhandled"}
		r := newRig(t, reply{err: errors.New("throttled")}, broken, reply{err: errors.New("throttled")}, broken, broken)
		r.options.MaximumRetryAttempts = 2
		r.options.BatchSize = 2
		p := r.run(time.Minute, "a", "b", "c")
		r.want("a b", "a b", "a b", "a b", "a b", "c") // throttles are not counted
		if len(r.given) != 1 {
			t.Fatalf("given up: %+v", r.given)
		}
		got := r.given[0]
		failed := "Unhandled"
		want := streampoller.InvocationRecord{
			RequestContext: streampoller.RequestContext{
				RequestID: got.RequestContext.RequestID, FunctionARN: "arn:aws:lambda:eu-west-1:123456789012:function:fanout",
				Condition: "RetryAttemptsExhausted", ApproximateInvokeCount: 3,
			},
			ResponseContext: &streampoller.ResponseContext{StatusCode: 200, ExecutedVersion: "$LATEST", FunctionError: &failed},
			Version:         "1.0",
			Timestamp:       "2000-01-01T00:00:00.500Z", // delays of 100, 100, 100 and 200 ms
			KinesisBatchInfo: streampoller.KinesisBatchInfo{
				ShardID:                         "shardId-000000000000",
				StartSequenceNumber:             fmt.Sprintf("49%054d", 1),
				EndSequenceNumber:               fmt.Sprintf("49%054d", 2),
				ApproximateArrivalOfFirstRecord: "2000-01-01T00:00:00.000Z",
				ApproximateArrivalOfLastRecord:  "2000-01-01T00:00:00.000Z",
				BatchSize:                       2,
				StreamARN:                       streamARN,
			},
			Payload: string(streampoller.Payload(streamARN, "fanout", "shardId-000000000000", []streampoller.Record{
				{Sequence: fmt.Sprintf("49%054d", 1), PartitionKey: "key", Data: []byte("a"), Arrival: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)},
				{Sequence: fmt.Sprintf("49%054d", 2), PartitionKey: "key", Data: []byte("b"), Arrival: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)},
			})),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the invocation record (-want +got):\n%s", diff)
		}
		if s := p.Stats(); s.Discarded != 2 || s.Finished != 3 || s.Invocations != 4 || s.Failures != 3 || s.Refusals != 2 {
			t.Errorf("stats %+v", s)
		}
	})
}

// A failing destination is retried while the records wait.
func TestDestinationFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, reply{functionError: "Unhandled"})
		r.options.MaximumRetryAttempts = 0
		r.options.BatchSize = 1
		deliver, failures := r.options.OnFailure, 3
		r.options.OnFailure = func(ctx context.Context, record []byte) error {
			if failures--; failures >= 0 {
				return errors.New("no bucket")
			}
			return deliver(ctx, record)
		}
		r.run(time.Minute, "a", "b")
		r.want("a", "b")
		if len(r.given) != 1 || failures != -1 {
			t.Errorf("%d more failures; given up: %+v", failures, r.given)
		}
	})
}

func TestRecordsAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := reply{functionError: "Unhandled"}
		r := newRig(t, broken, broken, broken, broken, broken)
		r.options.MaximumRecordAge = time.Minute
		r.stream.put("key", []byte("old"))
		time.Sleep(59 * time.Second)
		r.run(30*time.Second, "new")
		r.want("old new", "old new", "old new", "old new", "new", "new")
		if len(r.given) != 1 || r.given[0].RequestContext.Condition != "RecordAgeExceeded" || r.given[0].KinesisBatchInfo.BatchSize != 1 {
			t.Errorf("given up: %+v", r.given)
		}
	})
}

func TestBatchingWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.options.BatchingWindow = 10 * time.Second
		r.options.BatchSize = 3
		r.options.PollInterval = 100 * time.Millisecond
		p, err := streampoller.New(r.options)
		if err != nil {
			t.Fatal(err)
		}
		p.Start()
		defer p.Stop()
		r.stream.put("key", []byte("a"))
		time.Sleep(9 * time.Second)
		r.stream.put("key", []byte("b"))
		r.want()
		time.Sleep(2 * time.Second)
		r.want("a b") // the window was over
		for _, text := range []string{"c", "d", "e"} {
			r.stream.put("key", []byte(text))
		}
		time.Sleep(time.Second)
		r.want("a b", "c d e") // the batch was full
	})
}

func TestPayloadLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for range 5 {
			r.stream.put("key", make([]byte, 1<<20))
		}
		r.run(time.Minute)
		if len(r.got) != 2 || len(r.got[0]) != 4<<20+3 {
			t.Errorf("%d invocations, the first with %d bytes of data", len(r.got), len(r.got[0]))
		}
	})
}

func TestEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		time.Sleep(987 * time.Millisecond)
		r.run(time.Minute, "hello")
		number := fmt.Sprintf("49%054d", 1)
		want := `{"Records":[{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"key","sequenceNumber":"` + number +
			`","data":"aGVsbG8=","approximateArrivalTimestamp":946684800.987},` +
			`"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"shardId-000000000000:` + number +
			`","eventName":"aws:kinesis:record","invokeIdentityArn":"arn:aws:iam::123456789012:role/fanout",` +
			`"awsRegion":"eu-west-1","eventSourceARN":"arn:aws:kinesis:eu-west-1:123456789012:stream/events"}]}`
		if diff := cmp.Diff(want, string(r.payload)); diff != "" {
			t.Errorf("the event (-want +got):\n%s", diff)
		}
	})
}

func TestRedelivery(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind streampoller.Redelivery
		want []string
	}{
		{streampoller.Duplicate, []string{"a b", "a b", "c d"}},
		{streampoller.Overlap, []string{"a b", "b c", "d"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.options.BatchSize = 2
			r.options.ParallelizationFactor = 2
			first := true
			r.options.Hooks.Again = func(b streampoller.Batch) streampoller.Redelivery {
				if !first {
					return streampoller.Once
				}
				first = false
				return c.kind
			}
			p := r.run(time.Minute, "a", "b", "c", "d")
			r.want(c.want...)
			if got := p.Checkpoints()["shardId-000000000000"]; got != fmt.Sprintf("49%054d", 4) {
				t.Errorf("the checkpoint is %s", got)
			}
		})
	}
}

// Stop waits for the invocation in flight, whose outcome counts; Start resumes
// after it.
func TestStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.options.BatchSize = 1
		r.options.Hooks.After = func(streampoller.Batch, streampoller.Outcome) { time.Sleep(10 * time.Second) }
		started := time.Now()
		p := r.run(time.Second, "a", "b")
		if d := time.Since(started); d != 10*time.Second {
			t.Errorf("stopped after %v", d)
		}
		r.want("a")
		p.Start()
		time.Sleep(time.Minute)
		if !p.Idle() {
			t.Error("not idle with all records finished")
		}
		p.Stop()
		r.want("a", "b")
	})
}

func TestWrongARN(t *testing.T) {
	t.Parallel()
	if _, err := streampoller.New(streampoller.Options{StreamARN: "events"}); err == nil {
		t.Error("taken")
	}
}
