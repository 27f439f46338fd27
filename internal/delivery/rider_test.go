package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
)

// counter is a receiver that counts what is under way and what arrived.
type counter struct {
	under, most atomic.Int32
	mu          sync.Mutex
	got         map[string]int
	answer      func(id string) Verdict
}

func (c *counter) Send(ctx context.Context, e *event.Event, _ int) Verdict {
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
		return Verdict{Outcome: Interrupted}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got[e.ID]++
	return c.answer(e.ID)
}

func riderOver(c *counter, inFlight int, probe bool) (*rider, chan struct{}) {
	e := &Engine{Settings: settings.Settings{InFlight: inFlight}, Now: time.Now, Logger: slog.New(slog.DiscardHandler)}
	signal := make(chan struct{}, 1)
	t := &target{in: &integration.Integration{ID: "orders"}, sender: c, slots: slots{free: inFlight}}
	return e.newRider(context.Background(), t, 0, handoff.Progress{}, probe, signal), signal
}

func numbered(n uint64, events int) eventlog.Segment {
	s := eventlog.Segment{Number: n}
	for i := range events {
		s.Events = append(s.Events, event.Event{ID: fmt.Sprintf("%d-%d", n, i), Name: "order.created"})
	}
	return s
}

func deliveredAlways(string) Verdict { return Verdict{Outcome: Delivered} }

// A rider is given segments, asked, and allowed to go on from several sides at
// once: every event arrives once, with no more calls at a time than allowed.
func TestRiderFromManySides(t *testing.T) {
	const segs, events, inFlight = 40, 10, 4
	for _, probe := range []bool{false, true} {
		c := &counter{got: map[string]int{}, answer: deliveredAlways}
		r, signal := riderOver(c, inFlight, probe)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range segs {
				r.give([]eventlog.Segment{numbered(uint64(i+1), events)})
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
						r.extend(time.Now().Add(time.Hour))
						_, _, _ = r.state(), r.progress(), r.inHand()
						runtime.Gosched()
					}
				}
			})
		}
		for r.state().through < segs {
			<-signal // never misses the end
		}
		close(stop)
		wg.Wait()
		r.halt()
		r.quiet()
		for id, n := range c.got {
			if n != 1 {
				t.Errorf("%s arrived %d times", id, n)
			}
		}
		if len(c.got) != segs*events || c.most.Load() > inFlight {
			t.Errorf("%d events arrived, with up to %d calls at a time; want %d and at most %d", len(c.got), c.most.Load(), segs*events, inFlight)
		}
		if st := r.state(); !st.idle || !st.resting || st.passed != segs*events {
			t.Errorf("at the end %+v", st)
		}
	}
}

// Wherever a rider is broken off, what its progress does not count as through
// is sent by the next one, and nothing else.
func TestRiderBrokenOffAnywhere(t *testing.T) {
	for round := range 200 {
		c := &counter{got: map[string]int{}, answer: deliveredAlways}
		r, signal := riderOver(c, 3, false)
		segs := []eventlog.Segment{numbered(1, 7), numbered(2, 3), numbered(3, 7)}
		r.extend(time.Now().Add(time.Hour))
		r.give(segs)
		for range round % 40 {
			runtime.Gosched()
		}
		r.halt() // calls under way end by themselves, and count
		r.quiet()
		next, signal2 := riderOver(c, 3, false)
		next.track = newTracker(event.Filter{}, r.progress())
		next.extend(time.Now().Add(time.Hour))
		next.give(segs[r.progress().Position.Segment:])
		for next.state().through < 3 {
			<-signal2
		}
		next.halt()
		next.quiet()
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

// Past its time a rider starts nothing; one that failed neither.
func TestRiderStartsNothing(t *testing.T) {
	c := &counter{got: map[string]int{}, answer: deliveredAlways}
	r, _ := riderOver(c, 4, false)
	r.give([]eventlog.Segment{numbered(1, 5)})
	r.extend(time.Now().Add(-time.Second))
	if !r.state().resting || len(c.got) > 0 {
		t.Error("starts calls past its time")
	}
	c.answer = func(string) Verdict { return Verdict{Outcome: Retry, Reason: "busy"} }
	r, signal := riderOver(c, 1, false)
	r.extend(time.Now().Add(time.Hour))
	r.give([]eventlog.Segment{numbered(1, 5)})
	for !r.state().resting || r.state().failure == nil {
		<-signal
	}
	r.give([]eventlog.Segment{numbered(2, 5)})
	r.extend(time.Now().Add(2 * time.Hour))
	if !r.state().resting || len(c.got) != 1 || r.state().failure.verdict.Reason != "busy" {
		t.Errorf("after a failure %d events were sent, state %+v", len(c.got), r.state())
	}
	want := handoff.Progress{Ahead: []int{1}}
	if p := r.progress(); p.Position != want.Position || len(p.Ahead) != 1 || p.Ahead[0] != 1 {
		t.Errorf("progress %+v, want %+v", p, want)
	}
}

// Whoever read the state before a stop may not begin after it.
func TestNothingBeginsAfterQuiesce(t *testing.T) {
	now := time.Now()
	e := &Engine{Settings: settings.Default(), Now: func() time.Time { return now }}
	begins := func(id string, generation uint64) bool {
		end, ok := e.activities.begin("acme", id, generation, func() {}, func() {})
		if ok {
			end()
		}
		return ok
	}
	if !e.Quiesce(t.Context(), "acme", "orders", 5) {
		t.Error("nothing was under way, and it is not quiet")
	}
	if begins("orders", 4) || !begins("orders", 5) || !begins("other", 1) {
		t.Error("the wrong generations may begin")
	}
	now = now.Add(e.QuietAfter())
	e.Quiesce(t.Context(), "acme", "other", 2)
	if begins("orders", 4) {
		t.Error("forgot the stop while an actor from before it may still come")
	}
	now = now.Add(time.Second)
	e.Quiesce(t.Context(), "acme", "other", 2)
	if n := len(e.activities.ended); n != 1 || len(e.activities.byID) != 0 {
		t.Errorf("remembers %d stops and %d activities, want 1 and 0", n, len(e.activities.byID))
	}
}
