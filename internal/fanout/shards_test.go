package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/eventlog/memory"
	"github.com/sluicehq/sluice/internal/fanout"
	"github.com/sluicehq/sluice/internal/publish/kinesis"
)

const lanes = 3

// cluster is a stream of several shards, the log, and a function for each shard, all of which
// fail at random.
type cluster struct {
	t      *testing.T
	mu     sync.Mutex // of rand
	rand   *rand.Rand
	shards []*shard
	log    *memory.Log
	stream *kinesis.Stream

	broken bool // whether anything fails
}

type shard struct {
	id      string
	next    int // sequence number
	records []events.KinesisEventRecord
	handler *fanout.Handler
}

func newCluster(t *testing.T, seed uint64) *cluster {
	c := &cluster{t: t, rand: rand.New(rand.NewPCG(seed, 1)), log: memory.New(time.Now), broken: true}
	c.stream = kinesis.New(c, nil, "events", time.Now)
	// A number says nothing about one of another shard.
	for i, first := range []int{1_000_000, 1, 5_000} {
		s := &shard{id: fmt.Sprintf("shardId-%012d", i), next: first}
		s.handler = &fanout.Handler{
			Log: failingLog{c}, Engine: failingEngine{c},
			Decode: func(key string, data []byte) (fanout.Content, error) {
				r, err := kinesis.Decode(key, data)
				return fanout.Content(r), err
			},
			IsPlain:     kinesis.IsPlain,
			DecodePlain: func(data []byte) (event.Draft, error) { return kinesis.DecodePlain(data, 1<<18) },
			Stamp:       kinesis.StampPlain,
			Put: func(ctx context.Context, stamped []event.Event) ([]int, error) {
				return c.stream.PutEvents(ctx, event.Lanes{Each: lanes}, stamped)
			},
			Backdate:   time.Hour, // more than a run takes
			GrowLanes:  func(context.Context, string) error { return c.fault(20) },
			Quarantine: func(context.Context, *events.KinesisEventRecord, error) error { panic("a record is unreadable") },
			Logger:     slog.New(slog.DiscardHandler), Now: time.Now, DrainTimeout: time.Second,
		}
		c.shards = append(c.shards, s)
	}
	return c
}

// fault returns an error once in the given number of calls.
func (c *cluster) fault(oneIn int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken && c.rand.IntN(oneIn) == 0 {
		return errors.New("broken")
	}
	return nil
}

// put puts a record on the shard of its key.
func (c *cluster) put(key string, data []byte) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	s := c.shards[h.Sum32()%uint32(len(c.shards))]
	s.next += 1 + c.rand.IntN(3)
	sequence := strconv.Itoa(s.next)
	s.records = append(s.records, events.KinesisEventRecord{
		EventID: s.id + ":" + sequence, EventSourceArn: "arn:stream",
		Kinesis: events.KinesisRecord{
			PartitionKey: key, SequenceNumber: sequence, Data: data,
			ApproximateArrivalTimestamp: events.SecondsEpochTime{Time: time.Now()},
		},
	})
}

// PutRecords implements kinesis.Client. An entry may fail, and the response may be lost.
func (c *cluster) PutRecords(_ context.Context, in *sdk.PutRecordsInput, _ ...func(*sdk.Options)) (*sdk.PutRecordsOutput, error) {
	lost := c.fault(10)
	out := &sdk.PutRecordsOutput{Records: make([]types.PutRecordsResultEntry, len(in.Records))}
	for i, e := range in.Records {
		if c.fault(10) != nil {
			out.Records[i].ErrorCode = aws.String("ProvisionedThroughputExceededException")
			continue
		}
		c.put(*e.PartitionKey, e.Data)
	}
	if lost != nil {
		return nil, errors.New("the connection was reset")
	}
	return out, nil
}

type failingLog struct{ *cluster }

func (l failingLog) Append(ctx context.Context, p event.Partition, source string, records []eventlog.Record) (uint64, error) {
	if err := l.fault(6); err != nil {
		return 0, err
	}
	end, err := l.log.Append(ctx, p, source, records)
	if err == nil {
		err = l.fault(6) // the response is lost
	}
	return end, err
}

func (failingLog) Passed(context.Context, event.Partition, time.Time) error { return nil }

type failingEngine struct{ *cluster }

func (e failingEngine) DeliverLive(context.Context, event.Partition, *delivery.LogEnd) error {
	return e.fault(6)
}

func (failingEngine) Wait() {}

// step handles the next batch of a shard, and removes the records that are done.
func (c *cluster) step(s *shard) {
	if len(s.records) == 0 {
		return
	}
	n := 1 + c.rand.IntN(min(len(s.records), 8))
	batch := make([]events.KinesisEventRecord, n)
	for i := range batch {
		batch[i] = s.records[i]
		batch[i].Kinesis.Data = append([]byte(nil), s.records[i].Kinesis.Data...)
	}
	response, _ := s.handler.Handle(c.t.Context(), events.KinesisEvent{Records: batch})
	done := n
	for _, f := range response.BatchItemFailures {
		for i := range batch {
			if batch[i].Kinesis.SequenceNumber == f.ItemIdentifier {
				done = min(done, i)
			}
		}
	}
	s.records = s.records[done:]
}

// Plain records of any key and records of the API, of the same lanes, on several shards, with
// every fault that a call can have: each event is in the log, in its lane, and wherever it is
// more than once it is the same.
func TestEveryPlainRecordIsInTheLog(t *testing.T) {
	warm := kinesis.Encode([]event.Event{event.Draft{ID: "a", Name: "a.b", Payload: []byte("{}")}.Stamp("a", time.UnixMilli(1))})
	if _, err := kinesis.Decode("0#a", warm); err != nil { // its coders belong to no bubble
		t.Fatal(err)
	}
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, seed)
			want := map[string]bool{}
			publish := func(i int) {
				tenant, id := []string{"a", "b"}[i%2], fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
				want[id] = true
				draft := event.Draft{ID: id, Tenant: tenant, Name: "order.created", Payload: fmt.Appendf(nil, `{"n":%d}`, i)}
				if i%3 == 0 {
					e := draft.Stamp("", time.Now())
					p := event.Partition{Tenant: tenant, Lane: event.LaneOf(id, lanes)}
					c.put(p.Key(), kinesis.Encode([]event.Event{e}))
					return
				}
				// Its key is random, or that of a lane.
				key := fmt.Sprintf("%d#%s", c.rand.IntN(40), tenant)
				c.put(key, fmt.Appendf(nil, `{"tenant":%q,"id":%q,"name":"order.created","payload":{"n":%d}}`, tenant, id, i))
			}
			for i := range 60 {
				publish(i)
				time.Sleep(time.Millisecond)
				c.step(c.shards[c.rand.IntN(len(c.shards))])
			}
			for range 400 {
				c.step(c.shards[c.rand.IntN(len(c.shards))])
			}
			c.broken = false
			for range 400 {
				for _, s := range c.shards {
					c.step(s)
				}
			}
			c.check(want)
		})
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
}

// check compares the log with the ids of all events.
func (c *cluster) check(want map[string]bool) {
	c.t.Helper()
	bodies := map[string]string{}
	for _, tenant := range []string{"a", "b"} {
		for lane := range lanes {
			p := event.Partition{Tenant: tenant, Lane: lane}
			segments, err := c.log.Read(c.t.Context(), p, 0, 1<<30)
			if err != nil {
				c.t.Fatal(err)
			}
			for _, s := range segments {
				for _, e := range s.Events {
					if event.LaneOf(e.ID, lanes) != lane || e.Tenant != tenant {
						c.t.Errorf("%s of %s is in %v", e.ID, e.Tenant, p)
					}
					if before, ok := bodies[e.ID]; ok && before != string(e.Body) {
						c.t.Errorf("%s is in the log as %s and as %s", e.ID, before, e.Body)
					}
					bodies[e.ID] = string(e.Body)
				}
			}
		}
	}
	for id := range want {
		if bodies[id] == "" {
			c.t.Errorf("%s is lost", id)
		}
	}
}
