package delivery_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
)

// While a receiver is down, the delays grow to at most five minutes. Its neighbour
// is not affected.
func TestBackOffGrowsToFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		r.register(hookSpec("down"))
		r.register(hookSpec("up"))
		r.answer(func(_ context.Context, in *integration.Integration, _ *event.Event, _ int) sink.Verdict {
			if in.ID == "down" {
				return busy
			}
			return delivered
		})
		time.Sleep(time.Second)
		ids := r.publish(1)
		time.Sleep(time.Second)
		r.wantOnce("up", ids)
		time.Sleep(5 * time.Hour)
		var calls []sent
		for _, c := range r.got() {
			if c.to == "down" {
				calls = append(calls, c)
			}
		}
		longest := time.Duration(0)
		for i, c := range calls {
			if c.attempt != i+1 {
				t.Fatalf("call %d is attempt %d", i+1, c.attempt)
			}
			if i == 0 {
				continue
			}
			delay := c.at.Sub(calls[i-1].at)
			longest = max(longest, delay)
			if most := min(time.Second<<min(i-1, 30), 5*time.Minute); delay > most+time.Second {
				t.Errorf("delay %d is %v, want at most %v", i, delay, most)
			}
		}
		if longest < 3*time.Minute || len(calls) < 60 {
			t.Errorf("%d calls in five hours, the longest delay %v; want delays up to 5 minutes", len(calls), longest)
		}
		r.answer(takes(0, delivered))
		time.Sleep(6 * time.Minute)
		if c := r.cursor("down"); c.State != handoff.Live || c.Failures != 0 || !c.FailingSince.IsZero() {
			t.Errorf("after it recovered: %+v", c)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		r.register(hookSpec("orders"))
		later := busy
		later.RetryAfter = time.Hour
		r.answer(takes(0, later))
		time.Sleep(time.Second)
		r.publish(1)
		r.publish(3) // these wait behind it
		time.Sleep(59 * time.Minute)
		before := len(r.got())
		r.answer(takes(0, delivered))
		time.Sleep(30 * time.Second)
		if n := len(r.got()); n != before {
			t.Errorf("%d calls within the hour", n-before)
		}
		time.Sleep(time.Minute)
		for id, n := range times(r.got()[before:]) {
			if n != 1 {
				t.Errorf("%s was sent %d times", id, n)
			}
		}
		if n := len(times(r.got()[before:])); n != 4 {
			t.Errorf("%d events arrived after the hour, want 4", n)
		}
	})
}

// After three days of failure an integration is stopped. If it is started within
// the retention, it gets every event.
func TestStopsAfterThreeDaysOfFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		r.register(hookSpec("orders"))
		time.Sleep(time.Second)
		first := r.publish(2)
		time.Sleep(time.Minute)
		r.wantOnce("orders", first)
		r.answer(takes(0, busy))
		ids := r.publish(2)
		began := time.Now()
		for range 73 {
			time.Sleep(time.Hour)
			ids = append(ids, r.publish(1)...)
			if stopped := r.status("orders") != integration.Running; stopped != (time.Since(began) >= 72*time.Hour) && time.Since(began) > 72*time.Hour+10*time.Minute {
				t.Fatalf("after %v stopped: %t", time.Since(began), stopped)
			}
		}
		entries := r.entries("orders", integration.ActionStopped)
		if len(entries) != 1 || !strings.Contains(entries[0].Reason, busy.Reason) || entries[0].CreatedAt.Sub(began) < 72*time.Hour {
			t.Fatalf("log: %+v", entries)
		}
		before := len(r.got())
		time.Sleep(20 * 24 * time.Hour)
		ids = append(ids, r.publish(3)...)
		time.Sleep(time.Hour)
		if n := len(r.got()); n != before {
			t.Errorf("%d calls while stopped", n-before)
		}
		r.answer(takes(0, delivered))
		if _, err := r.life.Start(context.Background(), tenant, "orders"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		n := times(r.got()[before:])
		for _, id := range ids {
			if n[id] != 1 {
				t.Errorf("%s arrived %d times after the start", id, n[id])
			}
		}
	})
}

// One success restarts the three days.
func TestAWorkingHourResetsTheThreeDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		r.register(hookSpec("orders"))
		r.answer(takes(0, busy))
		time.Sleep(time.Second)
		r.publish(1)
		time.Sleep(71 * time.Hour)
		r.answer(takes(0, delivered))
		time.Sleep(time.Hour)
		r.answer(takes(0, busy))
		r.publish(1)
		time.Sleep(71 * time.Hour)
		if s := r.status("orders"); s != integration.Running {
			t.Errorf("%s after twice 71 hours", s)
		}
	})
}

// An idle integration of any kind makes no calls.
func TestIdleDayCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		r.register(hookSpec("hook"))
		r.register(bucketSpec("bucket"))
		time.Sleep(time.Second)
		ids := r.publish(5)
		time.Sleep(10 * time.Minute)
		r.wantOnce("hook", ids)
		if files := r.exported(); len(files) != 1 || len(files[0].ids) != 5 {
			t.Fatalf("files %+v", files)
		}
		r.w.mu.Lock()
		before, lines := r.w.calls, r.lines.String()
		r.w.mu.Unlock()
		time.Sleep(24 * time.Hour)
		r.w.mu.Lock()
		defer r.w.mu.Unlock()
		if n := r.w.calls - before; n != 0 {
			t.Errorf("%d calls of the store and the log in an idle day", n)
		}
		if len(r.exported()) != 1 || len(r.got()) != 5 || r.lines.String() != lines {
			t.Errorf("something was sent, or logged: %d calls, %d files", len(r.got()), len(r.exported()))
		}
	})
}

// A replay that ends in the future is live until then. It then stops by itself with
// every event of its span and no other.
func TestReplayFinishesByItself(t *testing.T) {
	for _, kind := range []string{"webhook", "bucket"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, func(s *settings.Settings) { s.Lanes = 2 })
				r.publish(4)
				time.Sleep(time.Hour)
				from := time.Now()
				ids := r.publish(6)
				time.Sleep(time.Hour)
				spec := hookSpec("replay")
				if kind == "bucket" {
					spec = bucketSpec("replay")
				}
				until := time.Now().Add(2 * time.Hour)
				r.register(replay(spec, from, until))
				time.Sleep(time.Hour)
				ids = append(ids, r.publish(7)...)
				time.Sleep(time.Until(until) - time.Millisecond)
				ids = append(ids, r.publish(2)...)
				if s := r.status("replay"); s != integration.Running {
					t.Errorf("%s before its end", s)
				}
				time.Sleep(5 * time.Millisecond)
				r.publish(3)
				time.Sleep(10 * time.Minute)
				if s := r.status("replay"); s != integration.Stopped {
					t.Errorf("%s after its end, cursor %+v", s, r.cursor("replay"))
				}
				if e := r.entries("replay", integration.ActionStopped); len(e) != 1 || !strings.Contains(e[0].Reason, "complete") {
					t.Errorf("log: %+v", e)
				}
				got := times(r.got())
				for _, f := range r.exported() {
					for _, id := range f.ids {
						got[id]++
					}
				}
				for _, id := range ids {
					if got[id] != 1 {
						t.Errorf("%s arrived %d times", id, got[id])
					}
					delete(got, id)
				}
				if len(got) > 0 {
					t.Errorf("outside its span: %v", got)
				}
			})
		})
	}
}

// A replay that ends while the live loop has a call in flight is not stopped before
// that call can no longer arrive.
func TestReplayIsNotStoppedWhileACallIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		until := time.Now().Add(10 * time.Second)
		r.register(replay(hookSpec("replay"), time.Now(), until))
		time.Sleep(time.Second)
		var calls atomic.Int32
		var arrived atomic.Bool
		r.answer(func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict {
			if calls.Add(1) == 1 {
				time.Sleep(4 * time.Second)
				arrived.Store(true)
			}
			return delivered
		})
		time.Sleep(7 * time.Second)
		ids := r.publish(1)
		for !arrived.Load() {
			if s := r.status("replay"); s == integration.Stopped {
				t.Fatal("stopped while a call is in flight")
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		if s := r.status("replay"); s != integration.Stopped || times(r.got())[ids[0]] == 0 {
			t.Errorf("%s a minute later", s)
		}
	})
}

// The log is trimmed past a cursor that makes no progress: the integration's log says
// so, and the remaining events, or the end of a replay, are reached without a hot loop.
func TestTrimmedUnderACursor(t *testing.T) {
	for _, c := range []struct{ temporary, rest bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, true, nil)
				spec := hookSpec("orders")
				if c.temporary {
					spec = replay(spec, time.Now(), time.Now().Add(time.Hour))
				}
				r.register(spec)
				time.Sleep(time.Second)
				r.publish(1)
				time.Sleep(time.Second)
				r.answer(takes(0, busy))
				r.publish(3)
				time.Sleep(2 * time.Hour)
				trimmed := time.Now().Truncate(time.Millisecond)
				var rest []string
				if c.rest {
					rest = r.publish(1)
				}
				r.w.trim(trimmed) // as after 30 days
				r.answer(takes(0, delivered))
				r.w.mu.Lock()
				before := r.w.calls
				r.w.mu.Unlock()
				time.Sleep(time.Hour)
				r.w.mu.Lock()
				n := r.w.calls - before
				r.w.mu.Unlock()
				if n > 200 {
					t.Errorf("%d calls in an hour with almost nothing to send", n)
				}
				if e := r.entries("orders", integration.ActionEventsSkipped); len(e) > 1 || !c.temporary && len(e) != 1 {
					t.Errorf("log: %+v, want one entry for what was skipped", e)
				}
				if s := r.status("orders"); c.temporary && s != integration.Stopped {
					t.Errorf("the replay is %s: %+v", s, r.cursor("orders"))
				}
				if !c.temporary {
					r.wantOnce("orders", rest)
					if c := r.cursor("orders"); c.State != handoff.Live {
						t.Errorf("cursor %+v", c)
					}
				}
			})
		})
	}
}

// A receiver that eventually takes every event has not failed continuously, however
// long it takes to reach the end of the log.
func TestEachSuccessResetsTheFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, func(s *settings.Settings) { s.InFlight, s.FailureStopAfter = 1, time.Minute })
		r.register(hookSpec("orders"))
		r.answer(func(_ context.Context, _ *integration.Integration, _ *event.Event, attempt int) sink.Verdict {
			if attempt == 1 {
				return busy
			}
			return delivered
		})
		time.Sleep(time.Second)
		ids := r.publish(400)
		time.Sleep(100 * time.Second)
		if n := len(r.got()); n > 700 {
			t.Fatalf("%d calls already; the test must last longer than the limit", n)
		}
		time.Sleep(time.Hour)
		if s := r.status("orders"); s != integration.Running {
			t.Errorf("%s", s)
		}
		for id, n := range times(r.got()) {
			if n != 2 {
				t.Errorf("%s was sent %d times", id, n)
			}
		}
		if n := len(times(r.got())); n != len(ids) {
			t.Errorf("%d events of %d", n, len(ids))
		}
	})
}

// An integration that blocks its neighbours joins them again only after a delay that
// doubles each time.
func TestDelayOfASlowSubscriberDoubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, func(s *settings.Settings) { s.InFlight = 1 })
		r.register(hookSpec("slow"))
		r.register(hookSpec("fast"))
		r.answer(func(ctx context.Context, in *integration.Integration, e *event.Event, n int) sink.Verdict {
			if in.ID == "slow" {
				return takes(6*time.Second, delivered)(ctx, in, e, n)
			}
			return delivered
		})
		time.Sleep(time.Second)
		var ids []string
		delays := []time.Duration{}
		last := 0
		for range 200 {
			ids = append(ids, r.publish(1)...)
			time.Sleep(10 * time.Second)
			if c := r.cursor("slow"); c.Slowness > last {
				last = c.Slowness
				delays = append(delays, c.SlowUntil.Sub(c.LeftAt))
			}
		}
		want := time.Second
		for i, delay := range delays {
			if delay != want {
				t.Errorf("delay %d is %v, want %v", i+1, delay, want)
			}
			want = min(2*want, 5*time.Minute)
		}
		if len(delays) < 10 {
			t.Errorf("it left %d times in 2,000 seconds", len(delays))
		}
		r.wantOnce("fast", ids)
		for _, c := range r.got() {
			if c.to == "fast" && c.attempt != 1 {
				t.Errorf("the fast one got %s as attempt %d", c.id, c.attempt)
			}
		}
	})
}
