package worker

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sink"
)

// workerOf returns a worker of a new integration of a tenant, with n events to send.
func workerOf(t *testing.T, tenant string, calls *Calls, n int, send func(context.Context, *event.Event, int) sink.Verdict) *Worker {
	w := New(t.Context(), Job{
		Send:  send,
		Keep:  func(context.Context, *event.Event, int, sink.Verdict) error { return nil },
		Slots: NewSlots(16, tenant, calls), Now: time.Now, Changed: make(chan struct{}, 1),
	})
	w.Extend(time.Now().Add(time.Hour))
	w.Give([]eventlog.Segment{numbered(1, n)})
	t.Cleanup(func() { w.Abandon(); w.Drain() })
	return w
}

// hangs never responds.
func hangs(ctx context.Context, _ *event.Event, _ int) sink.Verdict {
	<-ctx.Done()
	return sink.Verdict{Outcome: sink.Interrupted}
}

// Whatever hangs, the calls of the process stay within the bound, and each further
// tenant finds room.
func TestCallsOfTheProcessAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bound = 400
		calls := NewCalls(bound)
		var inFlight atomic.Int32
		for i := range 100 {
			workerOf(t, fmt.Sprint(i%5), calls, 10, func(ctx context.Context, e *event.Event, n int) sink.Verdict {
				inFlight.Add(1)
				return hangs(ctx, e, n)
			})
		}
		synctest.Wait()
		if n := inFlight.Load(); n > bound || int(n) != calls.Held() {
			t.Errorf("%d calls are in flight and %d places taken, want as many and at most %d", n, calls.Held(), bound)
		}
		one := workerOf(t, "newcomer", calls, 1, hangs)
		synctest.Wait()
		if !one.State().Calling {
			t.Error("a tenant that comes later waits")
		}
	})
}

// However many receivers hang, one that responds is called at once.
func TestReceiversThatRespondDoNotWaitForThoseThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := NewCalls(20)
		var got atomic.Int32
		responds := func(context.Context, *event.Event, int) sink.Verdict {
			got.Add(1)
			return sink.Verdict{Outcome: sink.Delivered}
		}
		w := workerOf(t, "healthy", calls, 0, responds)
		w.job.Slots.responding.Store(true)
		for i := range 2000 {
			workerOf(t, fmt.Sprint(i), calls, 10, hangs)
		}
		synctest.Wait()
		w.Give([]eventlog.Segment{numbered(2, 50)})
		synctest.Wait()
		if n := got.Load(); n != 50 {
			t.Errorf("%d of 50 events arrived beside 2,000 receivers that hang", n)
		}
	})
}

// A receiver that responds for the first time is called on at once, in all lanes, although
// their workers had asked for places among those that hang.
func TestAReceiverThatRespondsLeavesThoseThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := NewCalls(20)
		var got atomic.Int32
		var slots *Slots
		responds := func(context.Context, *event.Event, int) sink.Verdict {
			time.Sleep(time.Second)
			got.Add(1)
			slots.responding.Store(true) // as Target.Record does
			return sink.Verdict{Outcome: sink.Delivered}
		}
		for i := range 9 {
			workerOf(t, fmt.Sprint(i), calls, 1, hangs)
		}
		synctest.Wait()
		first, second := workerOf(t, "healthy", calls, 0, responds), workerOf(t, "healthy", calls, 0, responds)
		slots = first.job.Slots
		second.job.Slots = slots
		first.Give([]eventlog.Segment{numbered(2, 5)}) // has the last place of ten, and asks for another
		second.Give([]eventlog.Segment{numbered(2, 5)})
		for i := range 100 {
			workerOf(t, fmt.Sprint("late", i), calls, 1, hangs)
		}
		time.Sleep(time.Minute)
		if n := got.Load(); n != 10 {
			t.Errorf("%d of 10 events arrived beside receivers that hang", n)
		}
		if n := len(slots.unproven); n != 0 {
			t.Errorf("%d workers are still noted", n)
		}
	})
}

// A worker that waits for a place says so, and leaves nothing behind when it ends.
func TestHaltEndsTheWaitForAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := NewCalls(2)
		hog := workerOf(t, "hog", calls, 1, hangs)
		w := workerOf(t, "acme", calls, 1, hangs)
		if st := w.State(); !st.Waiting || st.Calling || calls.Waiting() != 1 {
			t.Errorf("state %+v, %d wait; want it to wait", st, calls.Waiting())
		}
		w.Halt()
		w.Drain()
		if st := w.State(); st.Waiting || calls.Waiting() != 0 {
			t.Errorf("state %+v, %d wait; want that nothing waits", st, calls.Waiting())
		}
		hog.Abandon()
		hog.Drain()
		synctest.Wait()
		if calls.Held() != 0 {
			t.Errorf("%d places are taken, want none", calls.Held())
		}
	})
}

// The place of a call goes to who waits for it, although the worker has more to send.
func TestPlaceGoesToWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		place := fairshare.New(1)
		calls := &Calls{responding: place, unproven: place}
		var order []string
		slowly := func(tenant string) func(context.Context, *event.Event, int) sink.Verdict {
			return func(context.Context, *event.Event, int) sink.Verdict {
				time.Sleep(time.Second)
				order = append(order, tenant) // there is one place
				return sink.Verdict{Outcome: sink.Delivered}
			}
		}
		a := workerOf(t, "a", calls, 3, slowly("a")) // asks for a second place before b asks
		b := workerOf(t, "b", calls, 3, slowly("b"))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if want := "[a a b a b b]"; fmt.Sprint(order) != want || !a.State().Idle || !b.State().Idle {
			t.Errorf("sent %v, want %v", order, want)
		}
	})
}

// A call that our side cannot make is made again after a delay, as the same attempt. A
// halt ends that.
func TestUnsentCallIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var attempts []int
		w := workerOf(t, "acme", nil, 1, func(_ context.Context, _ *event.Event, attempt int) sink.Verdict {
			if attempts = append(attempts, attempt); len(attempts) < 4 {
				return sink.Verdict{Outcome: sink.Unsent}
			}
			return sink.Verdict{Outcome: sink.Delivered}
		})
		time.Sleep(unsentDelay / 2)
		if st := w.State(); !st.Waiting || st.Calling || st.Failure != nil {
			t.Errorf("state %+v, want it to wait without a failure", st)
		}
		time.Sleep(4 * unsentDelay)
		synctest.Wait()
		if fmt.Sprint(attempts) != "[1 1 1 1]" || !w.State().Idle {
			t.Errorf("attempts %v, want the first four times; state %+v", attempts, w.State())
		}
		w = workerOf(t, "acme", nil, 1, func(context.Context, *event.Event, int) sink.Verdict { return sink.Verdict{Outcome: sink.Unsent} })
		time.Sleep(unsentDelay / 2)
		w.Halt()
		began := time.Now()
		w.Drain()
		if took := time.Since(began); took > unsentDelay || len(w.AckState().Ahead) != 0 {
			t.Errorf("the end took %v, ack state %+v; want no attempt counted", took, w.AckState())
		}
	})
}

// closable counts how often its connections are given back.
type closable struct {
	counter
	closed atomic.Int32
}

func (c *closable) Close() { c.closed.Add(1) }

type closableSinks struct {
	openSinks
	opened map[uint64]*closable // by generation
}

func (s closableSinks) Webhook(_ context.Context, in *integration.Integration) (sink.Sender, error) {
	c := &closable{}
	s.opened[in.Generation] = c
	return c, nil
}

// An integration that is stopped, or replaced by its next generation, gives its
// connections back; so do all when the process ends.
func TestConnectionsAreGivenBack(t *testing.T) {
	sinks := closableSinks{opened: map[uint64]*closable{}}
	r := NewRegistry(Options{Sinks: sinks, InFlight: 4, QuietAfter: time.Minute, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	open := func(generation uint64) {
		target, err := r.Target(t.Context(), &integration.Integration{Tenant: "acme", ID: "orders", Generation: generation})
		if err != nil {
			t.Fatal(err)
		}
		target.Release()
	}
	closed := func(want ...int32) {
		t.Helper()
		for i, n := range want {
			if got := sinks.opened[uint64(i+1)].closed.Load(); got != n {
				t.Errorf("generation %d was closed %d times, want %d", i+1, got, n)
			}
		}
	}
	open(1)
	open(2) // an update
	closed(1, 0)
	r.Quiesce(t.Context(), "acme", "orders", 3)
	closed(1, 1)
	open(3)
	r.Close()
	closed(1, 1, 1)
}
