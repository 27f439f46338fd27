package deliveries_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/fairshare"
)

// each publishes and delivers events, each in a segment and a record of its own.
func (w *world) each(n int) {
	for range n {
		w.now = w.now.Add(time.Second)
		w.save(0, "", w.sent(w.ok(w.publish(0, "order.created"), 0)))
	}
}

func TestReadsOfTheLogTakeTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.each(1)
		w.Reads = fairshare.New(1)
		if !w.Reads.Take("other", nil) {
			t.Fatal("no place")
		}
		read := make(chan []deliveries.Delivery, 1)
		go func() { read <- w.all(deliveries.Request{Limit: 10}) }()
		synctest.Wait()
		if len(read) > 0 || w.Reads.Waiting() != 1 {
			t.Errorf("%d reads wait while another tenant has the only place", w.Reads.Waiting())
		}
		w.Reads.Give("other")
		if all := <-read; len(all) != 1 || w.Reads.Held() != 0 {
			t.Errorf("%d deliveries, and %d places are taken", len(all), w.Reads.Held())
		}
	})
}

// A page that finds little ends in time for its response, and the next one goes on.
func TestAPageEndsBeforeTheDeadline(t *testing.T) {
	w := newWorld(t)
	w.each(3)
	soon, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	q := deliveries.Request{Limit: 10, EventName: "order.created"}
	page, next, err := w.List(soon, tenant, w.hook.ID, q)
	if err != nil || next == "" {
		t.Fatalf("%d deliveries, next %q, %v", len(page), next, err)
	}
	q.After = next
	if rest := w.all(q); len(page)+len(rest) != 3 {
		t.Errorf("%d and %d deliveries", len(page), len(rest))
	}
}

type countedRecords struct {
	deliveries.Records
	mu   sync.Mutex
	read int
}

func (c *countedRecords) Deliveries(ctx context.Context, q deliveries.Query) ([]deliveries.Record, error) {
	records, err := c.Records.Deliveries(ctx, q)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read += len(records)
	return records, err
}

func TestALookUpReadsFewRecords(t *testing.T) {
	w := newWorld(t)
	w.each(200)
	counted := &countedRecords{Records: w.Records}
	w.Records = counted
	for _, segment := range []uint64{1, 100, 200} {
		segs, err := w.log.Read(t.Context(), partition(0), segment-1, 1)
		if err != nil {
			t.Fatal(err)
		}
		d, err := w.Find(t.Context(), w.hook, deliveries.At{Place: deliveries.Place{Segment: segment}}, &segs[0].Events[0])
		if err != nil || d == nil || d.Outcome != deliveries.Delivered {
			t.Fatalf("segment %d: %+v, %v", segment, d, err)
		}
	}
	if counted.read > 30 {
		t.Errorf("three look-ups read %d records", counted.read)
	}
}
