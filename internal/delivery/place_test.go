package delivery_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
)

// hogged returns a rig with three subscribers, of which "hog" has the only place of the
// process for receivers that have not responded yet, and keeps it for a minute. "lively"
// has responded before, "patient" has not.
func hogged(t *testing.T, batchBytes int) *rig {
	r := newRig(t, false, func(s *settings.Settings) { s.InFlight, s.MaxCalls, s.WebhookTimeout = 4, 2, time.Minute })
	r.engine.BatchBytes = batchBytes
	r.register(hookSpec("lively"))
	time.Sleep(time.Second)
	r.publish(1)
	time.Sleep(time.Second)
	r.answer(func(ctx context.Context, in *integration.Integration, e *event.Event, n int) sink.Verdict {
		if in.ID == "hog" {
			return takes(time.Minute, delivered)(ctx, in, e, n)
		}
		return delivered
	})
	r.register(hookSpec("hog"))
	time.Sleep(time.Second)
	r.publish(1)
	time.Sleep(time.Second)
	r.register(hookSpec("patient"))
	time.Sleep(time.Second)
	return r
}

// A subscriber that waits for a place of the process is not slow, for however long: it
// stays live. Receivers that respond do not wait for those that hang.
func TestWaitForAPlaceIsNotSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := hogged(t, 0)
		ids := r.publish(3)
		time.Sleep(30 * time.Second)
		r.wantOnce("lively", ids)
		if n := len(r.to("patient")); n != 0 {
			t.Fatalf("%d calls to patient, want none while it has no place", n)
		}
		if c := r.cursor("patient"); c.State != handoff.Live || c.Slowness != 0 {
			t.Errorf("its cursor is %+v, want it live and not slow", c)
		}
		time.Sleep(10 * time.Minute)
		r.wantOnce("patient", ids)
		if n := len(r.entries("patient", integration.ActionRetryTriggered)); n != 0 {
			t.Errorf("%d retries in the log of patient, want none", n)
		}
	})
}

// A subscriber that waits for a place blocks no neighbour: when the buffer is full it
// leaves, and is not counted as slow.
func TestWaitForAPlaceBlocksNoNeighbour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := hogged(t, 2*(eventSize+2))
		var ids []string
		for range 20 {
			ids = append(ids, r.publish(2)...)
		}
		time.Sleep(time.Second)
		r.wantOnce("lively", ids)
		if c := r.cursor("patient"); c.State == handoff.Live || c.Slowness != 0 || c.Failures != 0 {
			t.Errorf("its cursor is %+v, want it to have left without blame", c)
		}
		time.Sleep(10 * time.Minute)
		r.wantOnce("patient", ids)
	})
}

// A stop does not wait for a place that the integration waits for.
func TestStopEndsTheWaitForAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := hogged(t, 0)
		r.publish(3)
		time.Sleep(time.Second)
		began := time.Now()
		if _, err := r.life.Stop(t.Context(), tenant, "patient"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second || r.status("patient") != integration.Stopped {
			t.Errorf("after %v it is %s, want it stopped at once", took, r.status("patient"))
		}
		time.Sleep(10 * time.Minute)
		if n := len(r.to("patient")); n != 0 {
			t.Errorf("%d calls after the stop", n)
		}
	})
}

// to returns the calls to one integration.
func (r *rig) to(id string) []sent {
	var found []sent
	for _, c := range r.got() {
		if c.to == id {
			found = append(found, c)
		}
	}
	return found
}

var unsent = sink.Verdict{Outcome: sink.Unsent, Reason: "the process has no free file descriptor"}

// What our side lacks is never held against a receiver, live or in catch-up: for longer
// than it takes to give up, no attempt is counted, nothing is in its log, and the
// operator's log says so now and then. Then every event arrives, in its first attempt.
func TestShortageIsNoFailureOfTheReceiver(t *testing.T) {
	for _, live := range []bool{true, false} {
		t.Run(fmt.Sprintf("live %v", live), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, func(s *settings.Settings) { s.InFlight, s.FailureStopAfter = 2, time.Hour })
				var short atomic.Bool
				r.answer(func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict {
					if short.Load() {
						return unsent
					}
					return delivered
				})
				short.Store(true)
				var ids []string
				spec := hookSpec("hook")
				if !live {
					spec.StartsAt = time.Now().UTC().Truncate(time.Millisecond)
					time.Sleep(time.Second)
					ids = r.publish(5)
				}
				r.register(spec)
				time.Sleep(time.Second)
				if live {
					ids = r.publish(5)
				}
				time.Sleep(2 * time.Hour)
				c := r.cursor("hook")
				if n := len(r.entries("hook", integration.ActionRetryTriggered)); n != 0 || c.Failures != 0 || !c.FailingSince.IsZero() || c.Slowness != 0 {
					t.Errorf("%d retries in its log, cursor %+v; want none and no failure", n, c)
				}
				if n := strings.Count(r.lines.String(), "cannot open a connection"); n < 100 || n > 121 {
					t.Errorf("the operator's log says it %d times in two hours, want about once a minute", n)
				}
				short.Store(false)
				time.Sleep(time.Minute)
				for _, call := range r.got() {
					if call.attempt != 1 {
						t.Fatalf("%s was sent as attempt %d, want the first", call.id, call.attempt)
					}
				}
				if r.status("hook") != integration.Running {
					t.Errorf("it is %s", r.status("hook"))
				}
				arrived := map[string]bool{}
				for _, call := range r.got()[len(r.got())-len(ids):] {
					arrived[call.id] = true
				}
				if len(arrived) != len(ids) {
					t.Errorf("%d events arrived, want %d", len(arrived), len(ids))
				}
			})
		})
	}
}

// An export that our side cannot send is repeated after a delay, and counts as no
// failure.
func TestShortageIsNoFailureOfTheBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		var tries atomic.Int64
		r.export = func(_ context.Context, x sink.File, _ confirmFunc) sink.Verdict {
			for range x.Bodies {
				tries.Add(1)
				break
			}
			return unsent
		}
		r.register(bucketSpec("bucket"))
		time.Sleep(time.Second)
		r.publish(1)
		time.Sleep(6 * time.Minute)
		before := tries.Load()
		time.Sleep(time.Minute)
		if n := tries.Load() - before; n < 30 || n > 61 {
			t.Errorf("%d tries in a minute, want about one in each %v", n, r.w.settings.RetryMin)
		}
		if c := r.cursor("bucket"); c.Failures != 0 || len(r.entries("bucket", integration.ActionRetryTriggered)) != 0 {
			t.Errorf("cursor %+v with entries in its log, want no failure", c)
		}
	})
}

// A retry by hand that our side cannot send counts as no attempt, and says whose fault
// it is.
func TestShortageIsNoFailureOfARetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, in, ids := rejecting(t, 1)
		r.answer(func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict { return unsent })
		wantCode(t, r.retry(in, ids[0]), problem.Unavailable)
		var attempt int
		r.answer(func(_ context.Context, _ *integration.Integration, _ *event.Event, n int) sink.Verdict {
			attempt = n
			return delivered
		})
		if err := r.retry(in, ids[0]); err != nil || attempt != 2 {
			t.Errorf("the next retry was attempt %d, %v; want the second", attempt, err)
		}
	})
}

// longCatchUp returns a rig with a catch-up of many events to a receiver that takes a
// second for each, and its key. Only the test advances it.
func longCatchUp(t *testing.T, filter ...string) (*rig, handoff.Key) {
	r := newRig(t, false, func(s *settings.Settings) { s.InFlight = 1 })
	since := time.Now().UTC().Truncate(time.Millisecond)
	time.Sleep(time.Second)
	for range 100 {
		r.publish(2)
	}
	time.Sleep(time.Second)
	r.answer(takes(time.Second, delivered))
	r.life.Schedule = func(...handoff.Key) {}
	r.engine.Schedule = r.life.Schedule
	spec := hookSpec("hook")
	spec.StartsAt, spec.Filter.Names = since, filter
	r.register(spec)
	return r, handoff.Key{Tenant: tenant, Integration: "hook"}
}

// A step goes on while nobody waits for its place, and ends soon where another does.
func TestStepYieldsItsPlace(t *testing.T) {
	for _, wanted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r, k := longCatchUp(t)
			places := fairshare.New(1)
			places.Take(tenant, nil)
			granted := false
			if wanted {
				places.Take("other", &fairshare.Waiter{Granted: func() { granted = true }})
			}
			began := time.Now()
			place := delivery.NewPlace(delivery.CatchUp, places, tenant)
			step, err := r.engine.AdvanceIn(t.Context(), k, place)
			place.GiveBack()
			took := time.Since(began)
			if err != nil || step.Done || step.Wait != 0 || granted != wanted {
				t.Errorf("step %+v, %v; granted %v", step, err, granted)
			}
			if !wanted && took < 59*time.Second || wanted && took > 5*time.Second {
				t.Errorf("wanted %v: the step took %v", wanted, took)
			}
		})
	}
}

// A step in a place of another kind does nothing, and says which kind it is of.
func TestStepRunsInAPlaceOfItsKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := longCatchUp(t)
		r.answer(func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict { return busy })
		version := r.cursor("hook").Version
		in := func(kind delivery.Kind) delivery.Next {
			places := fairshare.New(1)
			places.Take(tenant, nil)
			step, err := r.engine.AdvanceIn(t.Context(), k, delivery.NewPlace(kind, places, tenant))
			if err != nil {
				t.Fatal(err)
			}
			return step
		}
		if step := in(delivery.Probe); step != (delivery.Next{Kind: delivery.CatchUp}) || r.cursor("hook").Version != version {
			t.Errorf("step %+v, want nothing done and the kind", step)
		}
		if step := in(delivery.CatchUp); step.Kind != delivery.Probe || step.Wait == 0 {
			t.Errorf("step %+v after a failure, want a wait before a probe", step)
		}
		time.Sleep(r.w.settings.RetryMax)
		if step := in(delivery.CatchUp); step != (delivery.Next{Kind: delivery.Probe}) {
			t.Errorf("step %+v, want nothing done and the kind", step)
		}
	})
}

// A catch-up whose filter drops everything costs no write for each read of the log.
func TestFilteredCatchUpWritesLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := longCatchUp(t, "nothing.matches")
		r.engine.BatchBytes = 2 * (eventSize + 2) // a hundred reads
		writes := 0
		r.screen(func([]store.Write) error { writes++; return nil })
		if step, err := r.engine.Advance(t.Context(), k); err != nil || !step.Done {
			t.Fatalf("step %+v, %v; want it live", step, err)
		}
		if writes > 3 {
			t.Errorf("%d commits, want the lease and the join", writes)
		}
	})
}

// readSizes records the largest read of a log.
type readSizes struct {
	eventlog.Log
	most *int
}

func (l readSizes) Read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]eventlog.Segment, error) {
	*l.most = max(*l.most, maxBytes)
	return l.Log.Read(ctx, p, after, maxBytes)
}

// Until a receiver that failed responds, its catch-up holds little of the log.
func TestProbeReadsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := longCatchUp(t)
		most := 0
		r.engine.Log = readSizes{r.engine.Log, &most}
		r.answer(func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict { return busy })
		for range 2 {
			if _, err := r.engine.Advance(t.Context(), k); err != nil {
				t.Fatal(err)
			}
			time.Sleep(r.w.settings.RetryMax)
		}
		most = 0
		if _, err := r.engine.Advance(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		if most == 0 || most > 4<<10 {
			t.Errorf("a probe reads %d bytes at a time, want at most 4 KiB", most)
		}
	})
}

// A receiver that responds again is caught up with in a place for that, of which there
// are fewer: a probe ends soon after its first delivery.
func TestProbeEndsOnceTheReceiverResponds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, k := longCatchUp(t)
		r.answer(func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict { return busy })
		if _, err := r.engine.Advance(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		time.Sleep(r.w.settings.RetryMax)
		r.answer(takes(time.Second, delivered))
		most := 0
		r.engine.Log = readSizes{r.engine.Log, &most}
		places := fairshare.New(1)
		places.Take(tenant, nil)
		began := time.Now()
		step, err := r.engine.AdvanceIn(t.Context(), k, delivery.NewPlace(delivery.Probe, places, tenant))
		if took := time.Since(began); err != nil || took > 10*time.Second || most > 4<<10 || step != (delivery.Next{Kind: delivery.CatchUp}) {
			t.Errorf("step %+v, %v, took %v and read %d bytes at a time; want it to go on as a catch-up", step, err, took, most)
		}
	})
}
