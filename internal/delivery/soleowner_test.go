package delivery_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
)

// On a node a failed attempt writes nothing but the first one, which is saved with its
// log entry; the others are saved together. Where other processes may advance a
// cursor, each failed attempt is saved, with a lease before it.
func TestMostFailedAttemptsWriteNothing(t *testing.T) {
	for _, c := range []struct {
		name string
		sole bool
		want int32
	}{
		{"sole owner", true, 1},
		{"others may own it", false, 1 + 2*134},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, nil)
				w := &watched{Store: r.engine.Store}
				if r.engine.Store = w; !c.sole {
					r.engine.SoleOwner = nil
				}
				r.register(hookSpec("orders"))
				r.answer(takes(0, busy))
				time.Sleep(time.Second)
				w.saves.Store(0)
				r.publish(1)
				r.untilCalls(135)
				time.Sleep(time.Millisecond)
				if n := w.saves.Load(); n != c.want {
					t.Errorf("135 failed attempts saved the cursor %d times, want %d", n, c.want)
				}
				w.saves.Store(0)
				for range 2 {
					if err := r.engine.SaveAttempts(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if n := w.saves.Load(); c.sole && n != 1 {
					t.Errorf("two saves wrote it %d times", n)
				}
				if n := r.cursor("orders").Failures; n != 135 {
					t.Errorf("%d attempts are saved", n)
				}
			})
		})
	}
}

// In catch-up a first failed attempt writes nothing either, as long as nothing was
// acknowledged: an outage begins for those that have not joined yet too, one write each.
func TestAFirstFailureInCatchUpWritesNothing(t *testing.T) {
	for name, progress := range map[string]bool{"nothing was acknowledged": false, "an event was": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, func(s *settings.Settings) { s.InFlight = 1 })
				var saved []handoff.Cursor
				r.screen(func(writes []store.Write) error {
					for _, w := range writes {
						if put, ok := w.(store.PutCursor); ok {
							saved = append(saved, *put.Cursor)
						}
					}
					return nil
				})
				spec := hookSpec("orders")
				spec.StartsAt = time.Now().UTC().Truncate(time.Millisecond)
				time.Sleep(time.Second)
				ids := r.publish(2)
				r.answer(func(_ context.Context, _ *integration.Integration, e *event.Event, _ int) sink.Verdict {
					if progress && e.ID == ids[0] {
						return delivered
					}
					return busy
				})
				r.register(spec)
				r.untilCalls(map[bool]int{false: 1, true: 2}[progress])
				time.Sleep(time.Millisecond)
				if c := r.cursor("orders"); progress != (c.Offset.Index == 1) || progress != (len(saved) == 1) {
					t.Errorf("saved %+v, and has %+v", saved, c)
				}
				c, err := r.engine.Cursor(t.Context(), r.cursor("orders").Key)
				if err != nil || c.Failures != 1 || c.FailingSince.IsZero() {
					t.Errorf("it is known as %+v, %v", c, err)
				}
				r.crash()
				next := r.restart()
				next.untilCalls(1)
				if first := next.got()[0]; first.id == ids[0] && progress {
					t.Error("an acknowledged event was sent again")
				}
			})
		})
	}
}

// A receiver that hangs is called for as long as it may take. A node writes nothing
// while it waits.
func TestWaitingForAReceiverWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := watchedDown(t, 4)
		r.answer(takes(9*time.Second, busy))
		w.saves.Store(0)
		r.untilCalls(5)
		time.Sleep(8 * time.Second)
		if n := w.saves.Load(); n != 0 {
			t.Errorf("it saved the cursor %d times", n)
		}
	})
}

// A graceful shutdown keeps every attempt and the back-off. A killed process forgets
// the attempts since they were last saved, and the next one calls the receiver at once.
func TestAttemptsOutliveTheProcess(t *testing.T) {
	for name, killed := range map[string]bool{"shut down": false, "killed": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := down(t, 40)
				time.Sleep(time.Millisecond)
				if err := r.engine.SaveAttempts(t.Context()); err != nil {
					t.Fatal(err)
				}
				r.untilCalls(46)
				time.Sleep(time.Millisecond)
				since := r.cursor("orders").FailingSince
				if killed {
					r.crash()
				}
				next := r.restart()
				saved := next.cursor("orders")
				restarted := time.Now()
				next.untilCalls(1)
				first := next.got()[0]
				if !killed && (saved.Failures != 46 || first.attempt != 47 || first.at.Before(saved.DueAt)) {
					t.Errorf("saved %d attempts, due at %v; then came attempt %d at %v", saved.Failures, saved.DueAt, first.attempt, first.at)
				}
				if killed && (saved.Failures != 40 || first.attempt != 41 || first.at.Sub(restarted) > time.Second) {
					t.Errorf("saved %d attempts; then came attempt %d after %v", saved.Failures, first.attempt, first.at.Sub(restarted))
				}
				if !saved.FailingSince.Equal(since) || since.After(r.got()[0].at.Add(time.Millisecond)) {
					t.Errorf("failing since %v, want %v", saved.FailingSince, since)
				}
			})
		})
	}
}

// A delay that was saved is kept by the next process, although the due index has the
// cursor where it was before.
func TestASavedPauseOutlivesAKilledProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := down(t, 2)
		r.answer(takes(0, asksFor(time.Hour)))
		r.untilCalls(3)
		asked := time.Now()
		time.Sleep(time.Millisecond)
		if err := r.engine.SaveAttempts(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.crash()
		next := r.restart()
		next.untilCalls(1)
		if d := next.got()[0].at.Sub(asked); d < 59*time.Minute {
			t.Errorf("called again %v after it asked for an hour", d)
		}
	})
}

// The log entry of the failure with which an integration leaves live delivery is saved
// together with others: by itself it costs three pages of the database.
func TestTheFirstFailuresEntryIsSavedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := down(t, 1)
		time.Sleep(time.Millisecond)
		if c := r.cursor("orders"); c.Failures != 1 {
			t.Fatalf("the stored cursor has %d failures, want 1", c.Failures)
		}
		if n := r.engine.UnsavedEntries(); n != 1 {
			t.Errorf("%d entries wait to be saved, want 1", n)
		}
		if n := len(r.entries("orders", integration.ActionRetryTriggered)); n != 1 {
			t.Errorf("the log has %d entries, want 1", n)
		}
	})
}

// While the store is unavailable, what must be saved is kept.
func TestUnsavedEntriesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := down(t, 9)
		time.Sleep(time.Millisecond)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if r.engine.SaveEntries(ended) == nil || r.engine.SaveAttempts(ended) == nil {
			t.Error("saved without a store")
		}
		if n := len(r.entries("orders", integration.ActionRetryTriggered)); n != 4 {
			t.Errorf("%d entries, want 4", n)
		}
		if err := r.engine.SaveAttempts(t.Context()); err != nil || r.cursor("orders").Failures != 9 {
			t.Errorf("saved %+v, %v", r.cursor("orders"), err)
		}
	})
}

// conflicting is a store in which a record that a Commit has beside cursors was changed.
type conflicting struct{ store.Store }

func (c conflicting) Commit(ctx context.Context, writes ...store.Write) error {
	if _, ok := writes[0].(store.PutCursor); ok {
		return store.ErrConflict
	}
	return c.Store.Commit(ctx, writes...)
}

// A conflict does not say that it was the cursor that changed.
func TestAttemptsAreUnsavedAfterAnotherRecordsConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := down(t, 9)
		time.Sleep(time.Millisecond)
		stored := r.engine.Store
		r.engine.Store = conflicting{stored}
		if err := r.engine.SaveAttempts(t.Context()); !errors.Is(err, store.ErrConflict) {
			t.Errorf("saved: %v", err)
		}
		r.engine.Store = stored
		if err := r.engine.SaveAttempts(t.Context()); err != nil || r.cursor("orders").Failures != 9 {
			t.Errorf("saved %+v, %v", r.cursor("orders"), err)
		}
	})
}

// A stop and a start end an outage, with the attempts that only the process knew.
func TestAStopForgetsUnsavedAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := down(t, 7)
		time.Sleep(time.Millisecond)
		if _, err := r.life.Stop(t.Context(), tenant, "orders"); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		if _, err := r.life.Start(t.Context(), tenant, "orders"); err != nil {
			t.Fatal(err)
		}
		r.untilCalls(8)
		if d := r.got()[7].at.Sub(started); d > 200*time.Millisecond {
			t.Errorf("the start waited %v for the back-off of the outage before it", d)
		}
		time.Sleep(time.Millisecond)
		c, err := r.engine.Cursor(t.Context(), r.cursor("orders").Key)
		if err != nil || c.Failures != 1 || c.FailingSince.Before(started) {
			t.Errorf("a new outage begins with %+v, %v", c, err)
		}
	})
}

// The sweep leaves a cursor alone that waits for longer than the store knows.
func TestTheSweepKnowsUnsavedBackOffs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := down(t, 14)
		time.Sleep(time.Minute)
		if n, err := r.engine.Sweep(t.Context()); n != 0 || err != nil {
			t.Errorf("it found %d overdue cursors, %v", n, err)
		}
		stored := r.cursor("orders")
		if stored.DueAt.After(time.Now().Add(-delivery.QuietAfter(r.w.settings))) {
			t.Errorf("the store knows it too, so this tests nothing: %+v", stored)
		}
	})
}

// Calls in flight of a subscriber that has left are a lease, which is in the same write
// as the leave. A killed process has no calls in flight: the next one goes on at once.
func TestALeaseOfAKilledProcessIsVoid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := fastAndSlow(t, 9*time.Second)
		r.publish(2)
		time.Sleep(5500 * time.Millisecond)
		if c := r.cursor("slow"); c.State != handoff.Scheduled || !c.DueAt.After(time.Now()) {
			t.Fatalf("it has not left: %+v", c)
		}
		r.crash()
		next := r.restart()
		next.answer(takes(0, delivered))
		restarted := time.Now()
		next.untilCalls(1)
		if d := next.got()[0].at.Sub(restarted); d > time.Second {
			t.Errorf("the next process waited %v", d)
		}
	})
}

// A step calls the receiver however slow the store is: it does not renew what it has
// before it has something to send.
func TestAStepOnASlowStoreCallsTheReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := watchedDown(t, 2)
		w.readFor.Store(int64(3 * time.Second)) // more than half of a lease, as with thousands in a queue
		time.Sleep(time.Minute)
		if n := len(r.got()); n < 5 {
			t.Errorf("%d calls after a minute", n)
		}
	})
}

// A killed process that had saved what was acknowledged leaves no lease either.
func TestSavedProgressIsNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, func(s *settings.Settings) { s.InFlight = 1 })
		r.engine.BatchBytes = 1
		spec := hookSpec("orders")
		spec.StartsAt = time.Now().UTC().Truncate(time.Millisecond)
		time.Sleep(time.Second)
		r.publish(1)
		r.publish(1)
		r.answer(takes(2*time.Second, delivered))
		r.register(spec)
		time.Sleep(3 * time.Second)
		if c := r.cursor("orders"); c.State != handoff.Scheduled || c.Offset.Segment != 1 || c.DueAt.After(time.Now()) {
			t.Errorf("after the first of two events: %+v", c)
		}
	})
}

// A failure that settles a file whose outcome was unknown is saved at once, whichever
// attempt it is: until then a stop would have to wait for the file.
func TestASettledFileIsSavedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		var tries atomic.Int32
		r.export = func(ctx context.Context, f sink.File, confirm func(context.Context, handoff.Upload) error) sink.Verdict {
			for range f.Bodies {
			}
			if err := confirm(ctx, handoff.Upload{Key: "key"}); err != nil {
				return cutOff
			}
			tries.Add(1)
			return busy
		}
		r.register(bucketSpec("bucket"))
		time.Sleep(time.Second)
		r.publish(1)
		for tries.Load() < 3 {
			time.Sleep(time.Second)
		}
		if c := r.cursor("bucket"); c.Failures != 3 || c.Upload != nil {
			t.Errorf("after three refused files: %+v", c)
		}
	})
}

// A lane that stops the integration, as it has failed for too long, ends the calls of
// another lane soon, although nothing tells that one: it looks at its cursor again.
func TestALaneSeesAStopOfAnotherLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, func(s *settings.Settings) { s.Lanes, s.InFlight, s.FailureStopAfter = 2, 2, time.Minute })
		r.engine.StepBudget = time.Hour // its end would wait for the calls
		r.register(hookSpec("orders"))
		time.Sleep(time.Second)
		r.answer(takes(0, busy))
		ids := r.publish(100)
		r.untilCalls(4)
		failing := event.LaneOf(ids[0], 2)
		var hung, hanging atomic.Int32
		r.answer(func(ctx context.Context, in *integration.Integration, e *event.Event, n int) sink.Verdict {
			if event.LaneOf(e.ID, 2) == failing {
				return busy
			}
			hung.Add(1)
			hanging.Add(1)
			defer hanging.Add(-1)
			return takes(time.Hour, delivered)(ctx, in, e, n)
		})
		for r.status("orders") == integration.Running {
			time.Sleep(time.Second)
		}
		time.Sleep(r.w.settings.FollowBudget)
		if n := hanging.Load(); n > 0 || hung.Load() == 0 {
			t.Errorf("%d of %d calls of the other lane are still in flight", n, hung.Load())
		}
	})
}

// A cursor that becomes due while it is saved is advanced after that: otherwise the
// save would take the step's version, and what the step sent would be sent again.
func TestASaveAndAStepTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := watchedDown(t, 2)
		r.answer(takes(0, asksFor(10*time.Second)))
		r.untilCalls(3)
		r.answer(takes(5*time.Second, delivered))
		time.Sleep(9 * time.Second)
		w.saveFor.Store(int64(3 * time.Second))
		if err := r.engine.SaveAttempts(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := len(r.got()); n != 4 {
			t.Errorf("%d calls, want 4", n)
		}
	})
}
