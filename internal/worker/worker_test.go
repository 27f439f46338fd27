package worker

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/sink"
)

// counter is a receiver that counts calls in flight and arrivals.
type counter struct {
	under, most atomic.Int32
	mu          sync.Mutex
	got         map[string]int
	answer      func(id string) sink.Verdict
}

func (c *counter) Send(ctx context.Context, e *event.Event, _ int) sink.Verdict {
	n := c.under.Add(1)
	defer c.under.Add(-1)
	most := c.most.Load()
	for n > most && !c.most.CompareAndSwap(most, n) {
		most = c.most.Load()
	}
	for range rand.IntN(20) {
		runtime.Gosched()
	}
	if ctx.Err() != nil {
		return sink.Verdict{Outcome: sink.Interrupted}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got[e.ID]++
	return c.answer(e.ID)
}

func (c *counter) Close() {}

func workerOver(c *counter, inFlight int, start handoff.AckState, probe bool) (*Worker, chan struct{}) {
	changed := make(chan struct{}, 1)
	return New(context.Background(), Job{
		Send:  c.Send,
		Keep:  func(context.Context, *event.Event, int, sink.Verdict) error { return nil },
		Slots: NewSlots(inFlight, "acme", nil), Start: start, Probe: probe, Now: time.Now, Changed: changed,
	}), changed
}

func numbered(n uint64, events int) eventlog.Segment {
	s := eventlog.Segment{Number: n}
	for i := range events {
		s.Events = append(s.Events, event.Event{ID: fmt.Sprintf("%d-%d", n, i), Name: "order.created"})
	}
	return s
}

func deliveredAlways(string) sink.Verdict { return sink.Verdict{Outcome: sink.Delivered} }

// Several goroutines give a worker segments, read its state and extend it: every event
// arrives once, with no more calls at a time than allowed.
func TestWorkerIsSafeForConcurrentUse(t *testing.T) {
	const segs, events, inFlight = 40, 10, 4
	for _, probe := range []bool{false, true} {
		c := &counter{got: map[string]int{}, answer: deliveredAlways}
		r, signal := workerOver(c, inFlight, handoff.AckState{}, probe)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range segs {
				r.Give([]eventlog.Segment{numbered(uint64(i+1), events)})
				runtime.Gosched()
			}
		})
		for range 3 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						r.Extend(time.Now().Add(time.Hour))
						_, _, _ = r.State(), r.AckState(), r.Buffered()
						runtime.Gosched()
					}
				}
			})
		}
		for r.State().Acked < segs {
			<-signal // never misses the end
		}
		close(stop)
		wg.Wait()
		r.Halt()
		r.Drain()
		for id, n := range c.got {
			if n != 1 {
				t.Errorf("%s arrived %d times", id, n)
			}
		}
		if len(c.got) != segs*events || c.most.Load() > inFlight {
			t.Errorf("%d events arrived, with up to %d calls at a time; want %d and at most %d", len(c.got), c.most.Load(), segs*events, inFlight)
		}
		if st := r.State(); !st.Idle || !st.Drained || st.Acks != segs*events {
			t.Errorf("finally %+v", st)
		}
	}
}

// Wherever a worker is interrupted, the next one sends the events that its ack state
// does not count as acknowledged, and no others.
func TestWorkerInterruptedAnywhere(t *testing.T) {
	for round := range 200 {
		c := &counter{got: map[string]int{}, answer: deliveredAlways}
		r, signal := workerOver(c, 3, handoff.AckState{}, false)
		segs := []eventlog.Segment{numbered(1, 7), numbered(2, 3), numbered(3, 7)}
		r.Extend(time.Now().Add(time.Hour))
		r.Give(segs)
		for range round % 40 {
			runtime.Gosched()
		}
		r.Halt() // calls in flight finish, and count
		r.Drain()
		next, signal2 := workerOver(c, 3, r.AckState(), false)
		next.Extend(time.Now().Add(time.Hour))
		next.Give(segs[r.AckState().Offset.Segment:])
		for next.State().Acked < 3 {
			<-signal2
		}
		next.Halt()
		next.Drain()
		for id, n := range c.got {
			if n != 1 {
				t.Fatalf("round %d: %s arrived %d times", round, id, n)
			}
		}
		if len(c.got) != 17 {
			t.Fatalf("round %d: %d events arrived", round, len(c.got))
		}
		_ = signal
	}
}

// A worker starts no call after its deadline or a failure.
func TestWorkerStartsNothing(t *testing.T) {
	c := &counter{got: map[string]int{}, answer: deliveredAlways}
	r, _ := workerOver(c, 4, handoff.AckState{}, false)
	r.Give([]eventlog.Segment{numbered(1, 5)})
	r.Extend(time.Now().Add(-time.Second))
	if !r.State().Drained || len(c.got) > 0 {
		t.Error("starts calls after its deadline")
	}
	c.answer = func(string) sink.Verdict { return sink.Verdict{Outcome: sink.Retry, Reason: "busy"} }
	r, signal := workerOver(c, 1, handoff.AckState{}, false)
	r.Extend(time.Now().Add(time.Hour))
	r.Give([]eventlog.Segment{numbered(1, 5)})
	for !r.State().Drained || r.State().Failure == nil {
		<-signal
	}
	r.Give([]eventlog.Segment{numbered(2, 5)})
	r.Extend(time.Now().Add(2 * time.Hour))
	if !r.State().Drained || len(c.got) != 1 || r.State().Failure.Verdict.Reason != "busy" {
		t.Errorf("after a failure %d events were sent, state %+v", len(c.got), r.State())
	}
	want := handoff.AckState{Ahead: []int{1}}
	if p := r.AckState(); p.Offset != want.Offset || len(p.Ahead) != 1 || p.Ahead[0] != 1 {
		t.Errorf("ack state %+v, want %+v", p, want)
	}
}

// An actor that read the state before a stop may not begin after it.
func TestNothingBeginsAfterQuiesce(t *testing.T) {
	now := time.Now()
	r := NewRegistry(Options{QuietAfter: time.Minute, Now: func() time.Time { return now }})
	begins := func(id string, generation uint64) bool {
		end, ok := r.Begin("acme", id, generation, func() {}, func() {})
		if ok {
			end()
		}
		return ok
	}
	if !r.Quiesce(t.Context(), "acme", "orders", 5) {
		t.Error("returned false although nothing is in flight")
	}
	if begins("orders", 4) || !begins("orders", 5) || !begins("other", 1) {
		t.Error("the wrong generations may begin")
	}
	now = now.Add(time.Minute)
	r.Quiesce(t.Context(), "acme", "other", 2)
	if begins("orders", 4) {
		t.Error("forgot the stop while an earlier actor may still begin")
	}
	now = now.Add(time.Second)
	r.Quiesce(t.Context(), "acme", "other", 2)
	if len(r.stopped) != 1 || len(r.active) != 0 {
		t.Errorf("remembers %d stops and %d activities, want 1 and 0", len(r.stopped), len(r.active))
	}
}
