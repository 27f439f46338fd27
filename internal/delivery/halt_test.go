package delivery_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
)

// takeAll takes every place for other tenants, and returns what gives them back.
func takeAll(l *fairshare.Limiter) (give func()) {
	n := 0
	for l.Take(fmt.Sprint("other", n), nil) { // one alone does not get all
		n++
	}
	return func() {
		for i := range n {
			l.Give(fmt.Sprint("other", i))
		}
	}
}

// A step that waits for a place ends with its integration: a stop and a deletion do not
// wait until those that have the places give them back.
func TestAStopEndsTheWaitOfAStep(t *testing.T) {
	for name, c := range map[string]struct {
		spec func(id string) integration.Spec
		wait func(r *rig) (give func())
	}{
		"of a catch-up, to read": {hookSpec, readsTaken},
		"of an export, to read":  {bucketSpec, readsTaken},
		"of a file, to be written again": {bucketSpec, func(r *rig) func() {
			places := fairshare.New(2)
			places.Take(tenant, nil)
			r.place = delivery.NewPlace(delivery.Export, places, tenant)
			give := make(chan func(), 1)
			r.export = func(ctx context.Context, f sink.File, confirm func(context.Context, handoff.Upload) error) sink.Verdict {
				for range f.Bodies { // its last request is sent without the place
				}
				if err := confirm(ctx, handoff.Upload{Key: "key", ID: "upload"}); err != nil {
					r.t.Error(err)
				}
				give <- takeAll(places)
				for range f.Bodies {
				}
				return cutOff
			}
			return func() { (<-give)() }
		}},
	} {
		for action, end := range map[string]func(r *rig, ctx context.Context) error{
			"stop":     func(r *rig, ctx context.Context) error { _, err := r.life.Stop(ctx, tenant, "a"); return err },
			"deletion": func(r *rig, ctx context.Context) error { return r.life.Delete(ctx, tenant, "a") },
		} {
			t.Run(action+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, false, nil)
					spec := c.spec("a")
					spec.StartsAt = time.Now().UTC().Truncate(time.Millisecond)
					r.unseen(3, "order.created")
					give := c.wait(r)
					r.life.Schedule = func(...handoff.Key) {}
					r.register(spec)
					ended := make(chan error, 1)
					go func() {
						_, err := r.engine.AdvanceIn(t.Context(), handoff.Key{Tenant: tenant, Integration: "a"}, r.place)
						ended <- err
					}()
					time.Sleep(time.Minute)
					ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
					defer cancel()
					began := time.Now()
					if err := end(r, ctx); err != nil {
						t.Error(err)
					}
					if took := time.Since(began); took > 100*time.Millisecond {
						t.Errorf("it took %v while the places are taken", took)
					}
					if err := <-ended; err != nil {
						t.Errorf("the step: %v", err)
					}
					give()
					time.Sleep(time.Minute)
					if len(r.got())+len(r.exported()) > 0 {
						t.Errorf("calls %v, files %v", r.got(), r.exported())
					}
				})
			})
		}
	}
}

func readsTaken(r *rig) (give func()) {
	r.engine.Reads = fairshare.New(2)
	return takeAll(r.engine.Reads)
}

// On a node a replay is stopped the moment it is complete, as nothing of it is in flight.
// Elsewhere another host may have a call in flight since it was live.
func TestACompleteReplayIsStoppedAtOnce(t *testing.T) {
	for name, spec := range map[string]func(id string) integration.Spec{"webhook": hookSpec, "bucket": bucketSpec} {
		for _, sole := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, sole owner %v", name, sole), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, true, func(s *settings.Settings) { s.Lanes = 2 })
					if !sole {
						r.engine.SoleOwner = nil
					}
					until := time.Now().Add(time.Hour)
					r.register(replay(spec("a"), time.Now(), until))
					time.Sleep(time.Minute)
					r.publish(3) // it is live
					time.Sleep(time.Until(until) + 5*time.Minute)
					in, err := r.life.Get(t.Context(), tenant, "a")
					if err != nil || in.CompletedAt.IsZero() {
						t.Fatalf("it is not complete: %+v, %v", in, err)
					}
					if at := in.StatusAt(in.CompletedAt); sole != (at == integration.Stopped) {
						t.Errorf("alone with its cursors: %v; it is %s when it is complete, until %v later", sole, at, in.QuietAt.Sub(in.CompletedAt))
					}
				})
			})
		}
	}
}

// On a node an integration that has failed for too long is stopped at once, as nothing of it
// is in flight; but not while a bucket may still store a file of it.
func TestAnIntegrationThatStopsItselfIsStoppedAtOnce(t *testing.T) {
	unsettled := sink.Verdict{Outcome: sink.Retry, Reason: "No response.", Unknown: true}
	for name, c := range map[string]struct {
		spec   func(id string) integration.Spec
		lanes  int
		write  sink.Verdict
		locked bool // its secret does not open
		slow   time.Duration
		want   integration.Status
	}{
		"webhook":                      {hookSpec, 1, busy, false, 0, integration.Stopped},
		"webhook whose secret is lost": {hookSpec, 1, busy, true, 0, integration.Stopped},
		"webhook with two lanes":       {hookSpec, 2, busy, false, 0, integration.Stopped},
		"with a call in another lane":  {hookSpec, 2, busy, false, 9 * time.Second, integration.Stopping},
		"bucket":                       {bucketSpec, 1, busy, false, 0, integration.Stopped},
		"bucket that does not answer":  {bucketSpec, 1, unsettled, false, 0, integration.Stopping},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, true, func(s *settings.Settings) {
					s.Lanes, s.InFlight, s.FailureStopAfter, s.RetryMax = c.lanes, 2, time.Minute, 2*time.Second
				})
				r.answer(func(_ context.Context, _ *integration.Integration, e *event.Event, _ int) sink.Verdict {
					if c.slow > 0 && event.LaneOf(e.ID, 2) == 1 {
						time.Sleep(c.slow)
						return delivered
					}
					return busy
				})
				r.write = func([]string) sink.Verdict { return c.write }
				if c.locked {
					r.open = func(*integration.Integration) error {
						return problem.New(problem.Internal, "The secret cannot be opened.")
					}
				}
				r.register(c.spec("a"))
				time.Sleep(time.Second)
				r.publish(40)
				for r.status("a") == integration.Running {
					time.Sleep(time.Millisecond)
				}
				if got := r.status("a"); got != c.want {
					t.Errorf("when it has stopped itself it is %s, want %s", got, c.want)
				}
				time.Sleep(15 * time.Minute)
				if got := r.status("a"); got != integration.Stopped {
					t.Errorf("finally it is %s", got)
				}
			})
		})
	}
}
