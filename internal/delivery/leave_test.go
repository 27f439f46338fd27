package delivery_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
)

// ended records the outcome of each call to "slow".
type ended struct {
	mu       sync.Mutex
	verdicts []sink.Outcome
}

func (o *ended) over(takesSlow time.Duration) func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict {
	return func(ctx context.Context, in *integration.Integration, e *event.Event, n int) sink.Verdict {
		if in.ID != "slow" {
			return delivered
		}
		v := takes(takesSlow, delivered)(ctx, in, e, n)
		o.mu.Lock()
		defer o.mu.Unlock()
		o.verdicts = append(o.verdicts, v.Outcome)
		return v
	}
}

func (o *ended) count(want sink.Outcome) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, v := range o.verdicts {
		if v == want {
			n++
		}
	}
	return n
}

// fastAndSlow returns a rig with two subscribers. One takes 6 s for each call: more
// than the budget and less than the timeout.
func fastAndSlow(t *testing.T, grace time.Duration) (*rig, *ended) {
	r := newRig(t, false, func(s *settings.Settings) { s.InFlight = 4 })
	r.engine.Grace = grace
	for _, id := range []string{"fast", "slow"} {
		r.register(hookSpec(id))
	}
	time.Sleep(time.Second)
	o := &ended{}
	r.answer(o.over(6 * time.Second))
	return r, o
}

// A receiver that takes longer than the budget for each call leaves with its calls in
// flight: their outcome counts, and no other subscriber waits for them.
func TestSlowerThanTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, o := fastAndSlow(t, 15*time.Second)
		var ids []string
		published := map[string]time.Time{}
		for range 20 {
			for _, id := range r.publish(2) {
				ids, published[id] = append(ids, id), time.Now()
			}
			time.Sleep(time.Second)
		}
		time.Sleep(10 * time.Minute)
		r.wantOnce("fast", ids)
		r.wantOnce("slow", ids)
		if n := o.count(sink.Delivered); n != len(ids) {
			t.Errorf("%d calls ended, want %d", n, len(ids))
		}
		for _, c := range r.got() {
			if late := c.at.Sub(published[c.id]); c.to == "fast" && late > 200*time.Millisecond {
				t.Errorf("%s reached the fast one %v late", c.id, late)
			}
			if c.attempt != 1 {
				t.Errorf("%s was sent to %s as attempt %d", c.id, c.to, c.attempt)
			}
		}
		if c := r.cursor("slow"); c.State != handoff.Live || c.Offset.Segment == 0 {
			t.Errorf("the slow one finally: %+v", c)
		}
	})
}

// The cursor of a subscriber that left with calls in flight has a lease until they
// have ended. Wait returns only then, with their outcome saved.
func TestWaitForCallsAfterLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, o := fastAndSlow(t, 15*time.Second)
		r.publish(2)
		time.Sleep(5500 * time.Millisecond)
		if c := r.cursor("slow"); c.State != handoff.Scheduled || !c.DueAt.After(time.Now()) || c.Offset.Segment != 0 {
			t.Fatalf("it has not left: %+v", c)
		}
		r.shutdown() // DeliverLive has returned
		began := time.Now()
		r.engine.Wait()
		if n := o.count(sink.Delivered); n != 2 {
			t.Errorf("Wait returned after %v with %d calls ended, want 2", time.Since(began), n)
		}
		if c := r.cursor("slow"); c.Offset.Segment != 1 || c.DueAt.After(time.Now()) {
			t.Errorf("the outcome of the calls is not saved: %+v", c)
		}
	})
}

// After a shutdown, calls of subscribers that left earlier last for Grace at most.
func TestShutdownEndsCallsAfterLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, o := fastAndSlow(t, 300*time.Millisecond)
		ids := r.publish(2)
		time.Sleep(5200 * time.Millisecond)
		began := time.Now()
		r.shutdown()
		r.engine.Wait()
		if took := time.Since(began); took > 500*time.Millisecond || o.count(sink.Interrupted) != 2 {
			t.Errorf("it took %v, %d calls were cut", took, o.count(sink.Interrupted))
		}
		if c := r.cursor("slow"); c.State != handoff.Scheduled || c.DueAt.After(time.Now()) || c.Offset.Segment != 0 {
			t.Errorf("cursor %+v", c)
		}
		r.wantOnce("fast", ids)
	})
}

// A stop cancels the calls in flight of a subscriber that is leaving.
func TestStopWhileLeaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, o := fastAndSlow(t, 15*time.Second)
		r.answer(o.over(9 * time.Second))
		ids := r.publish(8)
		time.Sleep(5500 * time.Millisecond) // it has left; 3.5 s to go
		began := time.Now()
		in, err := r.life.Stop(t.Context(), tenant, "slow")
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); in.StatusAt(time.Now()) != integration.Stopped || took < 2*time.Second || took > 2100*time.Millisecond {
			t.Errorf("%s after %v", in.StatusAt(time.Now()), took)
		}
		if n := o.count(sink.Interrupted); n != 4 {
			t.Errorf("%d calls were cut, want 4", n)
		}
		r.engine.Wait()
		before := len(r.got())
		time.Sleep(time.Hour)
		if n := len(r.got()) - before; n != 0 {
			t.Errorf("%d calls while it was stopped", n)
		}
		if c := r.cursor("slow"); c.State != handoff.Paused {
			t.Errorf("cursor %+v", c)
		}
		if n := r.levels("ERROR"); n > 0 {
			t.Errorf("log: %s", r.lines)
		}
		r.wantOnce("fast", ids)
	})
}

// Calls in flight when their integration is stopped have some time to finish. Those
// that take longer are cancelled.
func TestQuiesceLetsCallsEnd(t *testing.T) {
	for name, late := range map[string]bool{"live": false, "catching up": true} {
		for _, c := range []struct {
			takes time.Duration
			cut   int
			most  time.Duration
		}{
			{time.Second, 0, 700 * time.Millisecond},
			{2300 * time.Millisecond, 0, 2 * time.Second},
			{4 * time.Second, 4, 2100 * time.Millisecond},
		} {
			t.Run(name+" "+c.takes.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, false, func(s *settings.Settings) { s.InFlight = 4 })
					o := &ended{}
					r.answer(o.over(c.takes))
					spec := hookSpec("slow")
					spec.StartsAt = time.Now().UTC().Truncate(time.Millisecond)
					if !late {
						r.register(spec)
					}
					time.Sleep(time.Second)
					r.publish(20)
					if late {
						r.register(spec)
					}
					time.Sleep(500 * time.Millisecond)
					began := time.Now()
					in, err := r.life.Stop(t.Context(), tenant, "slow")
					if err != nil || in.StatusAt(time.Now()) != integration.Stopped {
						t.Fatalf("%+v, %v", in, err)
					}
					if took := time.Since(began); took > c.most {
						t.Errorf("the stop took %v", took)
					}
					if cut, whole := o.count(sink.Interrupted), o.count(sink.Delivered); cut != c.cut || whole != 4-c.cut {
						t.Errorf("%d calls were cancelled and %d finished, want %d and %d", cut, whole, c.cut, 4-c.cut)
					}
					time.Sleep(time.Minute)
					if n := len(r.got()); n != 4 {
						t.Errorf("%d calls, want 4", n)
					}
				})
			})
		}
	}
}

// Integrations whose receivers fail while another one's leave is saved leave together: each
// commit costs several pages of the database.
func TestThoseWhoFailTogetherLeaveTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		var mu sync.Mutex
		var left []int // by each commit
		r.screen(func(writes []store.Write) error {
			leaves := 0
			for _, w := range writes {
				if put, ok := w.(store.PutCursor); ok && put.Cursor.State == handoff.Scheduled && put.Cursor.Failures == 1 {
					leaves++
				}
			}
			if leaves > 0 {
				mu.Lock()
				left = append(left, leaves)
				mu.Unlock()
				time.Sleep(100 * time.Millisecond)
			}
			return nil
		})
		for i := range 8 {
			r.register(hookSpec(fmt.Sprint("hook", i)))
		}
		r.answer(func(_ context.Context, in *integration.Integration, _ *event.Event, _ int) sink.Verdict {
			time.Sleep(time.Duration(in.ID[len(in.ID)-1]-'0') * time.Millisecond) // one after the other
			return busy
		})
		time.Sleep(time.Second)
		r.publish(1)
		time.Sleep(500 * time.Millisecond)
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(left, []int{1, 7}) {
			t.Errorf("each commit let so many leave: %v, want 1 and 7", left)
		}
	})
}

// When those that stay have everything, or nobody stays, a leave raises the low watermark
// too: a commit of its own would write the partition state once more.
func TestALeaveRaisesTheLowWatermark(t *testing.T) {
	for name, stay := range map[string][]string{"nobody stays": nil, "one stays": {"up"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, nil)
				var commits atomic.Int32
				r.screen(func([]store.Write) error { commits.Add(1); return nil })
				for _, id := range append(stay, "down") {
					r.register(hookSpec(id))
				}
				r.answer(func(_ context.Context, in *integration.Integration, _ *event.Event, _ int) sink.Verdict {
					if in.ID == "up" {
						return delivered
					}
					time.Sleep(time.Millisecond)
					return busy
				})
				time.Sleep(time.Second)
				commits.Store(0)
				r.publish(1)
				time.Sleep(100 * time.Millisecond)
				state, err := r.engine.Store.Partition(t.Context(), partition)
				if err != nil || state.LowWatermark != 1 || len(state.Live) != len(stay) {
					t.Errorf("%+v, %v", state, err)
				}
				if n := commits.Load(); n != 1 {
					t.Errorf("%d commits, want 1", n)
				}
			})
		})
	}
}
