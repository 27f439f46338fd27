package fanout_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/fanout"
	"github.com/sluicehq/sluice/internal/publish/kinesis"
)

const (
	mebibyte = 1 << 20
	// kept is how much of the events, in MiB, the log caches and live delivery buffers.
	kept = 64
)

// heapLog measures the live heap while it appends. Like the log in DynamoDB it holds a
// segment's encoding and the compressed data at that time, and keeps events afterwards, as live
// delivery does.
type heapLog struct {
	mu   sync.Mutex
	peak uint64
	kept []eventlog.Record
	size int
}

func (l *heapLog) Append(_ context.Context, _ event.Partition, _ string, records []eventlog.Record) (uint64, error) {
	events := eventlog.Events(records)
	encoded := eventlog.AppendSegment(nil, events)
	compressed := make([]byte, len(encoded))
	l.measure()
	runtime.KeepAlive(encoded)
	runtime.KeepAlive(compressed)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		l.kept, l.size = append(l.kept, r), l.size+len(r.Events[0].Body)
		for l.size > kept*mebibyte {
			l.size -= len(l.kept[0].Events[0].Body)
			l.kept[0] = eventlog.Record{}
			l.kept = l.kept[1:]
		}
	}
	return 1, nil
}

func (l *heapLog) measure() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peak = max(l.peak, live())
}

func (*heapLog) Passed(context.Context, event.Partition, time.Time) error { return nil }

func live() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

type idleEngine struct{}

func (idleEngine) DeliverLive(context.Context, event.Partition, *delivery.LogEnd) error { return nil }
func (idleEngine) Wait()                                                                {}

// The function has 256 MiB for a full batch of the largest records, which do not compress.
// While it appends, what is decoded comes in place of the records, and little on top.
func TestFullBatchOfTheLargestRecordsFitsIntoMemory(t *testing.T) {
	const records = 100
	for name, partitions := range map[string]int{"one partition": 1, "a few": 7, "one each": records} {
		t.Run(name, func(t *testing.T) {
			before := live()
			batch, size := largestRecords(records, partitions)
			log := &heapLog{}
			h := &fanout.Handler{
				Log: log, Engine: idleEngine{}, IsPlain: kinesis.IsPlain,
				Decode: func(key string, data []byte) (fanout.Content, error) {
					r, err := kinesis.Decode(key, data)
					return fanout.Content(r), err
				},
				GrowLanes:    func(context.Context, string) error { return nil },
				Logger:       slog.New(slog.DiscardHandler),
				Now:          time.Now,
				DrainTimeout: time.Second,
			}
			response, _ := h.Handle(t.Context(), batch)
			if len(response.BatchItemFailures) > 0 {
				t.Fatalf("redelivered: %v", response.BatchItemFailures)
			}
			used := int64(log.peak) - int64(before)
			t.Logf("the batch has %d MiB, and at most %d MiB were live", size/mebibyte, used/mebibyte)
			if most := size + 24*mebibyte; used > most {
				t.Errorf("%d MiB were live, want at most %d", used/mebibyte, most/mebibyte)
			}
		})
	}
}

// largestRecords returns a batch of records of nearly 1 MiB with random bytes, and its size.
func largestRecords(n, partitions int) (batch events.KinesisEvent, size int64) {
	random := rand.NewChaCha8([32]byte{1})
	for i := range n {
		p := event.Partition{Tenant: "t" + strconv.Itoa(i%partitions)}
		body := make([]byte, mebibyte-5000)
		_, _ = random.Read(body)
		data := kinesis.Encode([]event.Event{{ID: "01890a5d-ac96-774b-bcce-b302099a8057", Name: "order.created", Tenant: p.Tenant, PublishedAt: time.UnixMilli(1), Body: body}})
		size += int64(len(data))
		batch.Records = append(batch.Records, events.KinesisEventRecord{
			EventSourceArn: "arn", Kinesis: events.KinesisRecord{SequenceNumber: strconv.Itoa(i + 1), PartitionKey: p.Key(), Data: append([]byte(nil), data...)},
		})
	}
	return batch, size
}
