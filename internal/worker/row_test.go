package worker

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/timelimit"
)

// A context and a timer for each call would cost more than a worker does otherwise.
func TestCallsOfASlotShareATimeLimit(t *testing.T) {
	const events, inFlight = 100, 4
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		rows := map[*timelimit.Calls]int{}
		c := &counter{got: map[string]int{}, answer: deliveredAlways}
		w, _ := workerOver(c, inFlight, handoff.AckState{}, false)
		w.job.Send = func(ctx context.Context, e *event.Event, attempt int) sink.Verdict {
			mu.Lock()
			rows[ctx.(*timelimit.Calls)]++
			mu.Unlock()
			time.Sleep(time.Millisecond)
			return c.Send(ctx, e, attempt)
		}
		w.Extend(time.Now().Add(time.Hour))
		w.Give([]eventlog.Segment{numbered(1, events)})
		time.Sleep(time.Minute)
		w.Halt()
		w.Drain()
		if len(rows) != inFlight || w.State().Acks != events {
			t.Errorf("%d events in %d rows, want %d in %d", w.State().Acks, len(rows), events, inFlight)
		}
	})
}

// An attempt says when it ended, so that the clock need not be read again after it.
func TestTheClockIsNotReadAfterEachDelivery(t *testing.T) {
	const events, inFlight = 100, 4
	synctest.Test(t, func(t *testing.T) {
		c := &counter{got: map[string]int{}, answer: deliveredAlways}
		w, _ := workerOver(c, inFlight, handoff.AckState{}, false)
		var readings atomic.Int32
		w.job.Now = func() time.Time { readings.Add(1); return time.Now() }
		const took = time.Second
		w.job.Send = func(context.Context, *event.Event, int) sink.Verdict {
			began := time.Now()
			time.Sleep(took)
			return sink.Verdict{Outcome: sink.Delivered, Started: began, Took: took}
		}
		w.Extend(time.Now().Add(10*took - 1))
		w.Give([]eventlog.Segment{numbered(1, events)})
		time.Sleep(time.Minute)
		w.Halt()
		w.Drain()
		if st := w.State(); st.Acks != 10*inFlight || st.Acked != 0 {
			t.Errorf("%d events were sent before the deadline, want %d", st.Acks, 10*inFlight)
		}
		if n := readings.Load(); n > 3*inFlight {
			t.Errorf("the clock was read %d times for %d deliveries", n, w.State().Acks)
		}
	})
}
