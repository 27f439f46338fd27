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

// screened is a store that checks each Commit first: a non-nil result of the check is
// the Commit's error. No Commit may be larger than the port allows.
type screened struct {
	store.Store
	t      *testing.T
	screen func(writes []store.Write) error
}

func (s screened) Commit(ctx context.Context, writes ...store.Write) error {
	if len(writes) > 100 {
		s.t.Errorf("a commit of %d writes", len(writes))
		return problem.New(problem.Internal, "too many writes")
	}
	if err := s.screen(writes); err != nil {
		return err
	}
	return s.Store.Commit(ctx, writes...)
}

// screen puts a check in front of the engine's store. Call it before anything is
// registered.
func (r *rig) screen(f func(writes []store.Write) error) {
	r.engine.Store = screened{r.engine.Store, r.t, f}
	r.rejects.Store = r.engine.Store
}

// rejection returns the rejected event that a Commit stores, or nil.
func rejection(writes []store.Write) *store.PutRejected {
	for _, w := range writes {
		if put, ok := w.(store.PutRejected); ok {
			return &put
		}
	}
	return nil
}

// refuses returns a receiver that rejects every event of one integration.
func refuses(id string) func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict {
	return func(_ context.Context, in *integration.Integration, _ *event.Event, _ int) sink.Verdict {
		if in.ID == id {
			return refused
		}
		return delivered
	}
}

// levels counts the lines with a level in the engine's log.
func (r *rig) levels(level string) int {
	return strings.Count(r.lines.String(), `"level":"`+level+`"`)
}

// After its limit was lowered, a full list of rejected events shrinks step by step. No
// commit is larger than a store accepts, and delivery is not disturbed.
func TestRejectedListIsLowered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := newRig(t, false, func(s *settings.Settings) { s.MaxRejected, s.InFlight = 200, 1 }) // one after another
		in := first.register(hookSpec("orders"))
		first.register(hookSpec("neighbour"))
		time.Sleep(time.Second)
		first.answer(refuses("orders"))
		ids := first.publish(200)
		time.Sleep(time.Second)
		if n := len(first.rejected(in)); n != 200 {
			t.Fatalf("%d kept", n)
		}
		first.w.settings.MaxRejected = 30
		r := first.restart()
		r.screen(func([]store.Write) error { return nil })
		for _, want := range []int{161, 122, 83, 44, 30, 30} {
			more := r.publish(1)
			ids = append(ids, more...)
			time.Sleep(time.Second)
			r.wantOnce("neighbour", more)
			r.wantOnce("orders", more)
			if n := len(r.rejected(in)); n != want {
				t.Errorf("%d kept, want %d", n, want)
			}
		}
		if got := slices.Sorted(slices.Values(r.rejected(in))); !slices.Equal(got, ids[len(ids)-30:]) {
			t.Errorf("kept %v, want the newest", got) // those in flight together are listed in any order
		}
		if n := len(r.evicted(ids)); n != len(ids)-30 {
			t.Errorf("%d evictions in the log, want %d", n, len(ids)-30)
		}
		if c := r.cursor("orders"); c.State != handoff.Live || r.levels("ERROR") > 0 {
			t.Errorf("orders is %s, log %s", c.State, r.lines)
		}
	})
}

// If the rejected events of an integration cannot be stored, only that integration
// leaves: its neighbour gets every event once and in time.
func TestRejectedThatCannotBeKeptDisturbsNoOther(t *testing.T) {
	for _, code := range []problem.Code{problem.Internal, problem.Unavailable} {
		t.Run(string(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, true, nil)
				var healed atomic.Bool
				r.screen(func(writes []store.Write) error {
					if put := rejection(writes); put != nil && put.History.Integration == "orders" && !healed.Load() {
						return problem.New(code, "The list cannot be written.")
					}
					return nil
				})
				in := r.register(hookSpec("orders"))
				r.register(hookSpec("neighbour"))
				time.Sleep(time.Second)
				r.answer(refuses("orders"))
				var ids []string
				published := map[string]time.Time{}
				for range 60 {
					for _, id := range r.publish(2) {
						ids, published[id] = append(ids, id), time.Now()
					}
					time.Sleep(time.Second)
					if c := r.cursor("orders"); c.State != handoff.Scheduled {
						t.Fatalf("orders is %s", c.State)
					}
					if c := r.cursor("neighbour"); c.State != handoff.Live {
						t.Fatalf("neighbour is %s", c.State)
					}
				}
				r.wantOnce("neighbour", ids)
				for _, c := range r.got() {
					if late := c.at.Sub(published[c.id]); c.to == "neighbour" && late > 200*time.Millisecond {
						t.Errorf("%s came %v late", c.id, late)
					}
				}
				healed.Store(true)
				time.Sleep(time.Hour)
				got := r.rejected(in)
				if slices.Sort(got); !slices.Equal(got, ids[len(ids)-len(got):]) && len(got) != r.w.settings.MaxRejected {
					t.Errorf("finally kept: %v", got)
				}
				if single, _ := r.rejections("orders"); len(single) != len(ids) {
					t.Errorf("%d rejections in the log, want %d", len(single), len(ids))
				}
				if c := r.cursor("orders"); c.State != handoff.Live {
					t.Errorf("orders is finally %s", c.State)
				}
			})
		})
	}
}

// A stop while rejected events are being stored affects only that integration.
func TestStopWhileEventsAreRejected(t *testing.T) {
	for name, slow := range map[string]time.Duration{"within the grace period": 100 * time.Millisecond, "cancelled": 300 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, nil)
				r.screen(func(writes []store.Write) error {
					if rejection(writes) != nil {
						time.Sleep(slow)
					}
					return nil
				})
				in := r.register(hookSpec("orders"))
				for _, id := range []string{"neighbour", "other"} {
					r.register(hookSpec(id))
				}
				time.Sleep(time.Second)
				r.answer(refuses("orders"))
				ids := r.publish(40)
				time.Sleep(100 * time.Millisecond) // the 16 in flight are stored one after another
				if n := len(r.got()); n == 0 {
					t.Fatal("no call is in flight")
				}
				stopped, err := r.life.Stop(t.Context(), tenant, "orders")
				if err != nil || stopped.StatusAt(time.Now()) == integration.Running {
					t.Fatalf("%+v, %v", stopped, err)
				}
				before := len(r.got())
				ids = append(ids, r.publish(5)...)
				time.Sleep(time.Minute)
				if n := len(r.got()) - before; n != 10 {
					t.Errorf("%d calls after the stop, want 10", n)
				}
				if _, err := r.life.Start(t.Context(), tenant, "orders"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Minute)
				for _, id := range []string{"neighbour", "other"} {
					r.wantOnce(id, ids)
					if c := r.cursor(id); c.State != handoff.Live || c.Slowness > 0 {
						t.Errorf("%s: %+v", id, c)
					}
				}
				if single, _ := r.rejections("orders"); len(single) != len(ids) {
					t.Errorf("%d rejections in the log, want %d: %v", len(single), len(ids), r.rejected(in))
				}
				if r.levels("ERROR") > 0 {
					t.Errorf("log: %s", r.lines)
				}
			})
		})
	}
}

// While the store cannot be written for a minute, nothing is sent again, whatever is
// published. Afterwards all subscribers go on together. One that fails meanwhile leaves
// afterwards with its ack state.
func TestRecordsThatCannotBeWritten(t *testing.T) {
	for name, takesOf := range map[string]time.Duration{"quick": 0, "with calls in flight": 900 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, true, func(s *settings.Settings) { s.InFlight = 4 })
				var down atomic.Bool
				r.screen(func([]store.Write) error {
					if down.Load() {
						return problem.New(problem.Unavailable, "The records cannot be written.")
					}
					return nil
				})
				for _, id := range []string{"one", "two", "three", "fails"} {
					r.register(hookSpec(id))
				}
				time.Sleep(time.Second)
				failing := ""
				r.answer(func(ctx context.Context, in *integration.Integration, e *event.Event, attempt int) sink.Verdict {
					if in.ID == "fails" && attempt == 1 && e.ID == failing {
						return takes(200*time.Millisecond, busy)(ctx, in, e, attempt)
					}
					return takes(takesOf, delivered)(ctx, in, e, attempt)
				})
				failing = fmt.Sprintf("e%06d", r.next)
				ids := r.publish(3)
				time.Sleep(100 * time.Millisecond)
				down.Store(true)
				for range 30 {
					ids = append(ids, r.publish(1)...)
					time.Sleep(2 * time.Second)
				}
				down.Store(false)
				time.Sleep(time.Minute)
				ids = append(ids, r.publish(3)...)
				time.Sleep(10 * time.Minute)
				for _, id := range []string{"one", "two", "three"} {
					r.wantOnce(id, ids)
					if c := r.cursor(id); c.State != handoff.Live || c.Slowness > 0 {
						t.Errorf("%s counts as slow: %+v", id, c)
					}
				}
				r.wantOnce("fails", ids[1:])
				attempts := 0
				for _, c := range r.got() {
					if c.to == "fails" && c.id == failing {
						if attempts++; c.attempt != attempts {
							t.Errorf("%s was sent again as attempt %d", c.id, c.attempt)
						}
					}
				}
				if c := r.cursor("fails"); attempts != 2 || c.State != handoff.Live {
					t.Errorf("%d attempts, and finally %+v", attempts, c)
				}
				if w, e := r.levels("WARN"), r.levels("ERROR"); w != 1 || e != 0 {
					t.Errorf("%d warnings and %d errors, want one warning: %s", w, e, r.lines)
				}
			})
		})
	}
}

// The same during catch-up: the step ends without an error.
func TestStopOfAStepWhileEventsAreRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		r.life.Schedule = func(...handoff.Key) {}
		r.screen(func(writes []store.Write) error {
			if rejection(writes) != nil {
				time.Sleep(300 * time.Millisecond)
			}
			return nil
		})
		r.answer(refuses("orders"))
		spec := hookSpec("orders")
		spec.StartsAt = time.Now().UTC().Truncate(time.Millisecond)
		time.Sleep(time.Second)
		r.unseen(20, "order.created")
		in := r.register(spec)
		result := make(chan error, 1)
		go func() {
			_, err := r.engine.Advance(t.Context(), handoff.Key{Tenant: tenant, Integration: in.ID})
			result <- err
		}()
		time.Sleep(100 * time.Millisecond)
		if _, err := r.life.Stop(t.Context(), tenant, in.ID); err != nil {
			t.Fatal(err)
		}
		if err := <-result; err != nil {
			t.Errorf("Advance: %v", err)
		}
		if c := r.cursor("orders"); c.State != handoff.Paused || len(r.rejected(in)) == 0 {
			t.Errorf("%+v, rejected %v", c, r.rejected(in))
		}
	})
}
