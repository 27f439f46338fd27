package delivery_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
)

// quickAndSlow answers for "quick" at once, and for all others after a while.
func quickAndSlow(d time.Duration) func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict {
	return func(ctx context.Context, in *integration.Integration, e *event.Event, n int) sink.Verdict {
		if in.ID == "quick" {
			return delivered
		}
		return takes(d, delivered)(ctx, in, e, n)
	}
}

// A graceful shutdown repeats nothing and costs no attempt, neither for the
// integration with calls in flight nor for the one ahead of it.
func TestShutdownRepeatsNothing(t *testing.T) {
	for name, begin := range map[string]func(r *rig){
		"live":        func(r *rig) { r.register(hookSpec("quick")); r.register(hookSpec("slow")); time.Sleep(time.Second) },
		"catching up": func(r *rig) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, func(s *settings.Settings) { s.InFlight = 3 })
				r.answer(quickAndSlow(900 * time.Millisecond))
				since := time.Now()
				time.Sleep(time.Second)
				begin(r)
				var ids []string
				for range 4 {
					ids = append(ids, r.publish(5)...)
				}
				if name == "catching up" {
					for _, id := range []string{"quick", "slow"} {
						spec := hookSpec(id)
						spec.StartsAt = since.UTC().Truncate(time.Millisecond)
						r.register(spec)
					}
				}
				time.Sleep(1500 * time.Millisecond)
				next := r.restart()
				time.Sleep(time.Minute)
				calls := append(r.got(), next.got()...)
				if n := len(next.got()); n == 0 || n >= len(ids) {
					t.Fatalf("%d calls after the restart: the shutdown came too late", n)
				}
				n := map[[2]string]int{}
				for _, c := range calls {
					n[[2]string{c.to, c.id}]++
					if c.attempt != 1 {
						t.Errorf("%s got %s as attempt %d", c.to, c.id, c.attempt)
					}
				}
				for _, id := range ids {
					if n[[2]string{"quick", id}] != 1 || n[[2]string{"slow", id}] != 1 {
						t.Errorf("%s was sent to quick %d and to slow %d times, want once", id, n[[2]string{"quick", id}], n[[2]string{"slow", id}])
					}
				}
			})
		})
	}
}

// If a receiver hangs beyond the grace period of a shutdown, only its own call is
// cancelled; no ack state is lost.
func TestShutdownWithAReceiverThatHangs(t *testing.T) {
	for name, late := range map[string]bool{"live": false, "catching up": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, func(s *settings.Settings) { s.FollowBudget, s.InFlight = 30*time.Second, 2 })
				r.engine.Grace = 3 * time.Second
				since, hung := time.Now(), ""
				r.answer(func(ctx context.Context, in *integration.Integration, e *event.Event, _ int) sink.Verdict {
					if in.ID == "hangs" && e.ID == hung {
						return takes(9*time.Second, delivered)(ctx, in, e, 1)
					}
					return delivered
				})
				time.Sleep(time.Second)
				if !late {
					r.register(hookSpec("quick"))
					r.register(hookSpec("hangs"))
					time.Sleep(time.Second)
				}
				hung = "e000001"
				ids := r.publish(8)
				if late {
					for _, id := range []string{"quick", "hangs"} {
						spec := hookSpec(id)
						spec.StartsAt = since.UTC().Truncate(time.Millisecond)
						r.register(spec)
					}
				}
				time.Sleep(time.Second)
				began := time.Now()
				next := r.restart()
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("the shutdown took %v", took)
				}
				next.answer(takes(0, delivered))
				time.Sleep(time.Minute)
				n := map[[2]string]int{}
				for _, c := range append(r.got(), next.got()...) {
					n[[2]string{c.to, c.id}]++
				}
				for _, id := range ids {
					want := 1
					if id == hung {
						want = 2
					}
					if n[[2]string{"quick", id}] != 1 || n[[2]string{"hangs", id}] != want {
						t.Errorf("%s was sent to quick %d and to hangs %d times, want 1 and %d", id, n[[2]string{"quick", id}], n[[2]string{"hangs", id}], want)
					}
				}
			})
		})
	}
}

// A crash repeats what was buffered, about two reads of the log, however much was sent
// before it.
func TestACrashRepeatsLittle(t *testing.T) {
	const read, inFlight = 10, 2
	for name, late := range map[string]bool{"live": false, "catching up": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, func(s *settings.Settings) { s.InFlight = inFlight })
				r.engine.BatchBytes = read * (eventSize + 2) // a rig's ids are longer
				var calls atomic.Int32
				r.answer(func(ctx context.Context, in *integration.Integration, e *event.Event, n int) sink.Verdict {
					if calls.Add(1) == 200 {
						r.crash()
					}
					return takes(time.Millisecond, delivered)(ctx, in, e, n)
				})
				spec := hookSpec("orders")
				spec.StartsAt = time.Now().UTC().Truncate(time.Millisecond)
				if time.Sleep(time.Second); !late {
					r.register(spec)
					time.Sleep(time.Second)
				}
				var ids []string
				for range 80 {
					ids = append(ids, r.publish(5)...)
				}
				if late {
					r.register(spec)
				}
				time.Sleep(time.Second)
				next := r.restart()
				time.Sleep(time.Minute)
				n, repeats := times(append(r.got(), next.got()...)), 0
				for _, id := range ids {
					if n[id] == 0 {
						t.Errorf("%s is lost", id)
					}
					repeats += n[id] - 1
				}
				if most := 3*read + inFlight; repeats > most || len(r.got()) < 200 {
					t.Errorf("%d calls, %d of them repeats, want at most %d", len(r.got()), repeats, most)
				}
			})
		})
	}
}

// A shutdown saves the ack states of a partition in one commit, and retries it after a
// conflict and while the store is unavailable for some seconds. Several commits, or
// giving up early, would repeat events.
func TestShutdownIsOneCommitAndRetriesIt(t *testing.T) {
	for name, trouble := range map[string]func(tries int) error{
		"quiet":       func(int) error { return nil },
		"conflict":    func(tries int) error { return when(tries <= 3, store.ErrConflict) },
		"unavailable": func(tries int) error { return when(tries <= 200, problem.New(problem.Unavailable, "busy")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, func(s *settings.Settings) { s.InFlight = 3 })
				r.answer(quickAndSlow(900 * time.Millisecond))
				var tries, commits atomic.Int32
				r.screen(func(writes []store.Write) error {
					if r.ctx.Err() == nil || !changesState(writes) {
						return nil
					}
					if err := trouble(int(tries.Add(1))); err != nil {
						return err
					}
					commits.Add(1)
					return nil
				})
				for _, id := range []string{"quick", "slow", "slower"} {
					r.register(hookSpec(id))
				}
				time.Sleep(time.Second)
				ids := append(r.publish(5), r.publish(5)...)
				time.Sleep(1500 * time.Millisecond)
				next := r.restart()
				if n := commits.Load(); n != 1 {
					t.Errorf("the shutdown changed the partition state in %d commits, want 1", n)
				}
				time.Sleep(time.Minute)
				n := map[[2]string]int{}
				for _, c := range append(r.got(), next.got()...) {
					n[[2]string{c.to, c.id}]++
				}
				for _, id := range ids {
					for _, to := range []string{"quick", "slow", "slower"} {
						if n[[2]string{to, id}] != 1 {
							t.Errorf("%s was sent to %s %d times, want once", id, to, n[[2]string{to, id}])
						}
					}
				}
			})
		})
	}
}

// As in a drain, the ack states of a catch-up, and of a subscriber that left with calls
// in flight, are saved even if the store is unavailable for a while.
func TestLastAckStateOutlastsAnUnavailableStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, func(s *settings.Settings) { s.InFlight = 3 })
		r.answer(takes(900*time.Millisecond, delivered))
		since := time.Now()
		time.Sleep(time.Second)
		var tries atomic.Int32
		r.screen(func([]store.Write) error {
			return when(r.ctx.Err() != nil && tries.Add(1) <= 100, problem.New(problem.Unavailable, "busy"))
		})
		ids := r.publish(10)
		spec := hookSpec("late")
		spec.StartsAt = since.UTC().Truncate(time.Millisecond)
		r.register(spec)
		time.Sleep(1500 * time.Millisecond)
		next := r.restart()
		time.Sleep(time.Minute)
		n := times(append(r.got(), next.got()...))
		for _, id := range ids {
			if n[id] != 1 {
				t.Errorf("%s was sent %d times, want once", id, n[id])
			}
		}
		if tries.Load() <= 100 {
			t.Errorf("the store was tried %d times: the failures came too late", tries.Load())
		}
	})
}

func when(trouble bool, err error) error {
	if trouble {
		return err
	}
	return nil
}

// changesState reports whether a commit changes a partition state.
func changesState(writes []store.Write) bool {
	return slices.ContainsFunc(writes, func(w store.Write) bool { _, ok := w.(store.PutPartition); return ok })
}

// A file that is stored just as the grace period of a shutdown ends counts: the next
// process does not write it again.
func TestFileThatIsStoredAsTheGraceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		r.register(bucketSpec("bucket"))
		time.Sleep(time.Second)
		r.write = func([]string) sink.Verdict {
			time.Sleep(r.engine.Grace + time.Second)
			return delivered
		}
		ids := r.publish(3)
		time.Sleep(r.w.settings.S3FileInterval + 500*time.Millisecond)
		next := r.restart()
		if len(r.exported()) != 1 {
			t.Fatalf("%d files, want 1 that was stored during the shutdown", len(r.exported()))
		}
		next.write = func([]string) sink.Verdict { return delivered }
		time.Sleep(time.Hour)
		if again := next.exported(); len(again) > 0 {
			t.Errorf("%v was stored, and then %v again", ids, again[0].ids)
		}
	})
}

// A shutdown starts no call, whatever live delivery or a catch-up waits for: the
// commit that is in flight here takes three seconds.
func TestShutdownStartsNoCallWhileTheStoreIsSlow(t *testing.T) {
	for name, late := range map[string]bool{"live": false, "catching up": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, func(s *settings.Settings) { s.InFlight = 2 })
				r.engine.BatchBytes = 4 * (eventSize + 2)
				r.answer(takes(100*time.Millisecond, delivered))
				var slow atomic.Bool
				r.screen(func([]store.Write) error {
					if slow.Load() {
						time.Sleep(3 * time.Second)
					}
					return nil
				})
				spec := hookSpec("orders")
				spec.StartsAt = time.Now().UTC().Truncate(time.Millisecond)
				if time.Sleep(time.Second); !late {
					r.register(spec)
					time.Sleep(time.Second)
				}
				for range 40 {
					r.publish(1)
				}
				if late {
					r.register(spec)
				}
				time.Sleep(150 * time.Millisecond)
				slow.Store(true)
				time.Sleep(200 * time.Millisecond)
				ended := time.Now()
				r.shutdown()
				if len(r.got()) == 0 || len(r.got()) == 40 {
					t.Fatalf("%d calls: the shutdown did not come in between", len(r.got()))
				}
				for _, c := range r.got() {
					if c.at.After(ended) {
						t.Errorf("%s was sent %v after the shutdown began", c.id, c.at.Sub(ended))
					}
				}
			})
		})
	}
}

// What cannot be saved at a shutdown is not lost, but repeated; the log says so.
func TestShutdownThatCannotSaveSaysSo(t *testing.T) {
	for name, late := range map[string]bool{"live": false, "catching up": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, func(s *settings.Settings) { s.InFlight = 2 })
				r.answer(takes(time.Second, delivered))
				r.screen(func([]store.Write) error {
					return when(r.ctx.Err() != nil, problem.New(problem.Unavailable, "the disk is full"))
				})
				spec := hookSpec("orders")
				spec.StartsAt = time.Now().UTC().Truncate(time.Millisecond)
				if time.Sleep(time.Second); !late {
					r.register(spec)
					time.Sleep(time.Second)
				}
				r.publish(10)
				if late {
					r.register(spec)
				}
				time.Sleep(2200 * time.Millisecond) // not when the lease is renewed
				r.shutdown()
				if !strings.Contains(r.lines.String(), "not saved at shutdown; events will be sent again") {
					t.Errorf("the log says nothing of it: %s", r.lines)
				}
			})
		})
	}
}

// A commit that is in flight when a shutdown begins, and fails, is tried again as the
// last writes are.
func TestACommitThatAShutdownMeetsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, func(s *settings.Settings) { s.InFlight = 2 })
		r.answer(takes(time.Second, delivered))
		var fails atomic.Bool
		r.screen(func([]store.Write) error {
			if !fails.CompareAndSwap(true, false) {
				return nil
			}
			time.Sleep(time.Second)
			return problem.New(problem.Unavailable, "the disk is full")
		})
		spec := hookSpec("orders")
		spec.StartsAt = time.Now().UTC().Truncate(time.Millisecond)
		time.Sleep(time.Second)
		ids := r.publish(10)
		r.register(spec)
		time.Sleep(time.Second)
		fails.Store(true) // the commit that renews the lease after half of its time
		time.Sleep(1900 * time.Millisecond)
		if fails.Load() {
			t.Fatal("no commit is in flight")
		}
		next := r.restart()
		time.Sleep(time.Minute)
		n := map[string]int{}
		for _, c := range append(r.got(), next.got()...) {
			n[c.id]++
		}
		for _, id := range ids {
			if n[id] != 1 {
				t.Errorf("%s was sent %d times, want once", id, n[id])
			}
		}
	})
}
