package delivery_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
)

// cannotTake returns a receiver that fails on some events for ever.
func cannotTake(ids ...string) func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict {
	return func(_ context.Context, _ *integration.Integration, e *event.Event, _ int) sink.Verdict {
		if slices.Contains(ids, e.ID) {
			return busy
		}
		return delivered
	}
}

func (r *rig) skip(id, eventID string) {
	r.t.Helper()
	r.asks(id, eventID)
	if err := r.skips.Skip(r.t.Context(), tenant, id, eventID); err != nil {
		r.t.Errorf("skip %s: %v", eventID, err)
	}
}

// asks notes that the test asks to skip an event.
func (r *rig) asks(id, eventID string) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.w.asked[skipped{tenant, id, eventID}] = true
}

// mayNotSkip fails unless the event is refused as one that the stream does not wait for.
func (r *rig) mayNotSkip(id, eventID, why string) {
	r.t.Helper()
	if err := r.skips.Skip(r.t.Context(), tenant, id, eventID); problem.CodeOf(err) != problem.NotBlocked {
		r.t.Errorf("%s: skip %s: %v, want %s", why, eventID, err, problem.NotBlocked)
	}
}

// An event that a receiver can never take holds up the stream until it is skipped: then
// the stream goes on at once, and the event is in the list of rejected ones.
func TestSkipLetsTheStreamGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, func(s *settings.Settings) { s.InFlight = 2 })
		in := r.register(hookSpec("orders"))
		time.Sleep(time.Second)
		r.answer(cannotTake("e000001"))
		ids := r.publish(4)
		time.Sleep(6 * time.Hour) // the attempts are five minutes apart, and not saved
		r.mayNotSkip("orders", "e000000", "it is through")
		r.mayNotSkip("orders", "e000003", "it has not been tried")
		r.mayNotSkip("orders", "e000009", "it is unknown")
		before := times(r.got())["e000001"]
		r.skip("orders", "e000001")
		time.Sleep(100 * time.Millisecond)
		if c := r.cursor("orders"); c.State != handoff.Live {
			t.Fatalf("right after the skip it is %s at %+v, due in %v", c.State, c.AckState, time.Until(c.DueAt))
		}
		r.mayNotSkip("orders", "e000001", "it was skipped already")
		more := r.publish(2)
		time.Sleep(time.Hour)
		r.wantOnce("orders", slices.Concat(ids[:1], ids[2:], more))
		if n := times(r.got())["e000001"]; n != before {
			t.Errorf("it was sent %d times, and %d times before it was skipped", n, before)
		}
		if got := r.rejected(in); !slices.Equal(got, []string{"e000001"}) {
			t.Errorf("rejected are %v", got)
		}
		entries := r.entries("orders", integration.ActionEventSkipped)
		if len(entries) != 1 || !strings.HasPrefix(entries[0].Reason, "Event e000001 (order.created) was skipped via API after ") {
			t.Errorf("the log says %+v", entries)
		}
		if kept, err := r.rejects.Get(t.Context(), tenant, "orders", "e000001"); err != nil || kept.Attempts != before {
			t.Errorf("kept with %d attempts, %v; want %d", kept.Attempts, err, before)
		}
	})
}

// An event that was tried and failed beside the first one can be skipped too.
func TestSkipOfAnEventBesideTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		r.register(hookSpec("orders"))
		time.Sleep(time.Second)
		r.answer(cannotTake("e000000", "e000002"))
		ids := r.publish(3)
		time.Sleep(time.Hour)
		r.skip("orders", "e000002")
		time.Sleep(time.Hour)
		if c := r.cursor("orders"); c.State != handoff.Scheduled || c.FailingSince.IsZero() {
			t.Errorf("it waits no more for the first one: %+v", c)
		}
		r.skip("orders", "e000000")
		time.Sleep(time.Second)
		if c := r.cursor("orders"); c.State != handoff.Live {
			t.Errorf("it is %s at %+v", c.State, c.AckState)
		}
		r.wantOnce("orders", ids[1:2])
	})
}

// A stopped integration does not send what was skipped while it was stopped.
func TestSkipWhileStopped(t *testing.T) {
	for _, live := range []bool{true, false} { // if not, the failed attempt is not saved
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, false, nil)
			r.answer(cannotTake("e000000"))
			spec := hookSpec("orders")
			if !live {
				spec.StartsAt = time.Now()
				r.publish(1)
			}
			r.register(spec)
			time.Sleep(time.Second)
			if live {
				r.publish(1)
			}
			time.Sleep(time.Minute)
			if _, err := r.life.Stop(t.Context(), tenant, "orders"); err != nil {
				t.Fatal(err)
			}
			calls := len(r.got())
			r.skip("orders", "e000000")
			r.mayNotSkip("orders", "e000000", "it was skipped already")
			if c := r.cursor("orders"); c.State != handoff.Paused || !c.DueAt.IsZero() {
				t.Errorf("the skip started it: %+v", c)
			}
			if _, err := r.life.Start(t.Context(), tenant, "orders"); err != nil {
				t.Fatal(err)
			}
			ids := r.publish(1)
			time.Sleep(time.Minute)
			r.wantOnce("orders", ids)
			if n := len(r.got()) - calls; n != 1 {
				t.Errorf("%d calls since the stop, want that of the next event", n)
			}
		})
	}
}

// Of two skips of one event one succeeds; a skip while a call is in flight takes effect.
func TestSkipsAtOnceAndDuringACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		in := r.register(hookSpec("orders"))
		time.Sleep(time.Second)
		r.answer(cannotTake("e000000"))
		r.publish(1)
		time.Sleep(time.Minute)
		r.answer(takes(5*time.Second, busy))
		for calls := len(r.got()); len(r.got()) == calls; {
			time.Sleep(time.Millisecond) // until one is in flight
		}
		r.asks("orders", "e000000")
		var skips sync.WaitGroup
		errs := make([]error, 2)
		for i := range errs {
			skips.Go(func() { errs[i] = r.skips.Skip(t.Context(), tenant, "orders", "e000000") })
		}
		skips.Wait()
		if (errs[0] == nil) == (errs[1] == nil) || problem.CodeOf(errs[0])+problem.CodeOf(errs[1]) != problem.NotBlocked {
			t.Errorf("the two skips: %v and %v; want one, and %s", errs[0], errs[1], problem.NotBlocked)
		}
		time.Sleep(time.Minute)
		if c := r.cursor("orders"); c.State != handoff.Live {
			t.Errorf("it is %s at %+v", c.State, c.AckState)
		}
		if got := r.rejected(in); len(got) != 1 {
			t.Errorf("rejected are %v", got)
		}
	})
}

// In each lane an event may wait. The skip finds its lane, and leaves the others alone.
func TestSkipInLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, func(s *settings.Settings) { s.Lanes = 3 })
		r.register(hookSpec("orders"))
		time.Sleep(time.Second)
		r.answer(func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict { return busy })
		ids := r.publish(9)
		time.Sleep(time.Hour)
		for _, id := range ids {
			r.skip("orders", id)
		}
		time.Sleep(time.Second)
		for lane := range 3 {
			c, err := r.w.records.Cursor(t.Context(), handoff.Key{Tenant: tenant, Integration: "orders", Lane: lane})
			if err != nil || c.State != handoff.Live {
				t.Errorf("lane %d: %+v, %v", lane, c, err)
			}
		}
		calls := len(r.got())
		time.Sleep(time.Hour)
		if n := len(r.got()) - calls; n != 0 {
			t.Errorf("%d calls although all are skipped", n)
		}
	})
}

func TestWhatCannotBeSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		r.register(hookSpec("orders"))
		r.register(bucketSpec("files"))
		time.Sleep(time.Second)
		r.mu.Lock()
		r.write = func([]string) sink.Verdict { return busy }
		r.mu.Unlock()
		ids := r.publish(1)
		time.Sleep(time.Hour)
		r.mayNotSkip("files", ids[0], "it is in a file")
		r.mayNotSkip("orders", ids[0], "it is live")
		if err := r.skips.Skip(t.Context(), "beta", "orders", ids[0]); problem.CodeOf(err) != problem.NotFound {
			t.Errorf("another tenant's: %v", err)
		}
		if err := r.life.Delete(t.Context(), tenant, "orders"); err != nil {
			t.Fatal(err)
		}
		if err := r.skips.Skip(t.Context(), tenant, "orders", ids[0]); problem.CodeOf(err) != problem.NotFound {
			t.Errorf("a deleted one: %v", err)
		}
	})
}
