package delivery_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
)

// watched is a store that counts the commits of cursors, and can be slow.
type watched struct {
	store.Store
	saves            atomic.Int32
	readFor, saveFor atomic.Int64 // ns: reads of cursors, and saves together
	fails            atomic.Bool  // reads of cursors
}

func (w *watched) Cursor(ctx context.Context, k handoff.Key) (*handoff.Cursor, error) {
	if d := w.readFor.Load(); d > 0 {
		time.Sleep(time.Duration(d))
	}
	if w.fails.Load() {
		return nil, problem.New(problem.Unavailable, "injected")
	}
	return w.Store.Cursor(ctx, k)
}

func (w *watched) Commit(ctx context.Context, writes ...store.Write) error {
	for _, x := range writes {
		if put, ok := x.(store.PutCursor); ok {
			w.saves.Add(1)
			if d := w.saveFor.Load(); d > 0 && put.KeepDue {
				time.Sleep(time.Duration(d))
			}
		}
	}
	return w.Store.Commit(ctx, writes...)
}

// down returns a rig with an integration, orders, that has failed the given number of
// times in a row.
func down(t *testing.T, attempts int) *rig {
	t.Helper()
	r, _ := watchedDown(t, attempts)
	return r
}

func watchedDown(t *testing.T, attempts int) (*rig, *watched) {
	t.Helper()
	r := newRig(t, false, nil)
	w := &watched{Store: r.engine.Store}
	r.engine.Store = w
	r.register(hookSpec("orders"))
	r.answer(takes(0, busy))
	time.Sleep(time.Second)
	r.publish(1)
	r.untilCalls(attempts)
	return r, w
}

// untilCalls waits until receivers got so many calls.
func (r *rig) untilCalls(n int) {
	for len(r.got()) < n {
		time.Sleep(100 * time.Millisecond)
	}
}

// An outage writes an entry for attempts 1, 2, 4, 8 and so on, with everything there
// is to know of it, and one when it is over.
func TestAnOutageIsAFewEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := down(t, 135)
		calls := r.got()
		entries := r.entries("orders", integration.ActionRetryTriggered)
		since := event.FormatTime(calls[0].at)
		for i, e := range entries {
			n := 1 << i
			if !strings.HasPrefix(e.Reason, fmt.Sprintf("%s Event e000000 (order.created), attempt %d since %s; the next one is at 2", busy.Reason, n, since)) {
				t.Errorf("entry %d says %q", i, e.Reason)
			}
			if next := event.FormatTime(calls[n].at); !strings.HasSuffix(e.Reason, " is at "+next+".") {
				t.Errorf("entry %d says %q; the next attempt was at %s", i, e.Reason, next)
			}
		}
		if len(entries) != 8 {
			t.Errorf("%d entries, want 8 for 135 attempts", len(entries))
		}
		r.answer(takes(0, delivered))
		r.untilCalls(136)
		time.Sleep(time.Second)
		took := integration.About(r.got()[135].at.Sub(calls[0].at))
		recovered := r.entries("orders", integration.ActionRecovered)
		if len(recovered) != 1 || recovered[0].Reason != "Delivering again after 135 attempts in "+took+"." {
			t.Errorf("log: %+v; it took %s", recovered, took)
		}
	})
}

// Another cause is an entry of its own, and so is the first one when it is back.
func TestAnotherCauseIsAnEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		r.register(hookSpec("orders"))
		causes := map[int]string{9: "b", 10: "b", 12: "c"}
		r.answer(func(_ context.Context, _ *integration.Integration, _ *event.Event, attempt int) sink.Verdict {
			v := busy
			if v.Cause = "a"; causes[attempt] != "" {
				v.Cause = causes[attempt]
			}
			v.Reason = "Failed: " + v.Cause + "."
			return v
		})
		time.Sleep(time.Second)
		r.publish(1)
		r.untilCalls(16)
		time.Sleep(time.Second)
		var got []string
		for _, e := range r.entries("orders", integration.ActionRetryTriggered) {
			var cause string
			var attempt int
			if _, err := fmt.Sscanf(e.Reason, "Failed: %1s. Event e000000 (order.created), attempt %d since", &cause, &attempt); err != nil {
				t.Fatalf("%q: %v", e.Reason, err)
			}
			got = append(got, fmt.Sprint(attempt, cause))
		}
		if want := []string{"1a", "2a", "4a", "8a", "9b", "11a", "12c", "13a", "16a"}; !slices.Equal(got, want) {
			t.Errorf("entries for %v, want %v", got, want)
		}
	})
}

func TestAHonouredRetryAfterIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		r.register(hookSpec("orders"))
		r.answer(takes(0, asksFor(10*time.Minute)))
		time.Sleep(time.Second)
		r.publish(1)
		time.Sleep(time.Second)
		entries := r.entries("orders", integration.ActionRetryTriggered)
		if len(entries) != 1 || !strings.HasSuffix(entries[0].Reason, "the next one is at 2000-01-01T00:10:01.000Z, as its Retry-After asks.") {
			t.Errorf("log: %+v", entries)
		}
	})
}

// A receiver that fails again after a success begins another outage. The log has the
// end of the first one before it.
func TestASuccessBetweenTwoOutages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, func(s *settings.Settings) { s.InFlight = 1 })
		r.register(hookSpec("orders"))
		r.answer(func(_ context.Context, _ *integration.Integration, e *event.Event, attempt int) sink.Verdict {
			if attempt == 1 {
				return busy
			}
			return delivered
		})
		time.Sleep(time.Second)
		r.publish(2)
		time.Sleep(time.Minute)
		if err := r.engine.SaveEntries(t.Context()); err != nil {
			t.Fatal(err)
		}
		in, err := r.life.Get(t.Context(), tenant, "orders")
		if err != nil {
			t.Fatal(err)
		}
		entries, err := r.life.Entries(t.Context(), tenant, in.ID)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range slices.Backward(entries) {
			what, _, _ := strings.Cut(strings.TrimPrefix(e.Reason, busy.Reason+" "), " since ")
			what, _, _ = strings.Cut(what, " in ")
			got = append(got, what)
		}
		want := []string{
			"Event e000000 (order.created), attempt 1", "Delivering again after 1 attempt",
			"Event e000001 (order.created), attempt 1", "Delivering again after 1 attempt",
		}
		if !slices.Equal(got[2:], want) {
			t.Errorf("the log says %q, want %q", got[2:], want)
		}
	})
}
