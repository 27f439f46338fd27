package delivery_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/sink"
)

// If the clock is set back while a cursor backs off, the cursor waits for at most an
// hour and a minute after it is next checked: at the end of the back-off, or earlier.
func TestClockSetBack(t *testing.T) {
	for _, back := range []time.Duration{24 * time.Hour, 62 * time.Minute, 50 * time.Minute} {
		for name, poke := range map[string]bool{"over": false, "looked at": true} {
			t.Run(back.String()+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, false, nil)
					var by atomic.Int64
					r.engine.Now = func() time.Time { return time.Now().Add(-time.Duration(by.Load())) }
					in := r.register(hookSpec("orders"))
					time.Sleep(time.Second)
					r.answer(takes(0, asksFor(time.Minute)))
					ids := r.publish(1)
					time.Sleep(10 * time.Second)
					if c := r.cursor("orders"); c.State != handoff.Scheduled || c.Failures != 1 {
						t.Fatalf("it does not back off: %+v", c)
					}
					set := time.Now()
					by.Store(int64(back))
					r.answer(takes(0, delivered))
					before := len(r.got())
					if poke {
						r.schedule(handoff.Key{Tenant: tenant, Integration: in.ID})
					}
					time.Sleep(48 * time.Hour)
					calls := r.got()[before:]
					if len(calls) != 1 || calls[0].id != ids[0] {
						t.Fatalf("calls %v, want one", calls)
					}
					if d := calls[0].at.Sub(set); d > 62*time.Minute {
						t.Errorf("advanced %v after the clock was set back", d)
					}
					if c := r.cursor("orders"); c.State != handoff.Live {
						t.Errorf("finally: %+v", c)
					}
				})
			})
		}
	}
}

// A killed process leaves no lease, so the next one need not wait for its end. It
// keeps a back-off and an export interval.
func TestAKilledProcessLeavesNoLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		since := time.Now()
		time.Sleep(time.Second)
		r.register(hookSpec("fails"))
		r.register(bucketSpec("bucket"))
		time.Sleep(time.Second)
		r.answer(func(ctx context.Context, in *integration.Integration, e *event.Event, n int) sink.Verdict {
			if in.ID == "fails" {
				return asksFor(10 * time.Second)
			}
			return takes(3*time.Second, delivered)(ctx, in, e, n)
		})
		ids := r.publish(2)
		spec := hookSpec("killed")
		spec.StartsAt = since.UTC().Truncate(time.Millisecond)
		r.register(spec)
		time.Sleep(time.Second)
		r.crash()
		before := map[string]*handoff.Cursor{}
		for _, id := range []string{"killed", "fails", "bucket"} {
			before[id] = r.cursor(id)
			if c := before[id]; c.State != handoff.Scheduled || c.DueAt.After(time.Now()) != (id != "killed") {
				t.Fatalf("%s: %+v", id, c)
			}
		}
		next := r.restart()
		next.answer(takes(0, delivered))
		for _, id := range []string{"killed", "fails", "bucket", "unknown"} {
			k := handoff.Key{Tenant: tenant, Integration: id}
			next.schedule(k)
		}
		for _, id := range []string{"fails", "bucket"} {
			if c := next.cursor(id); !c.DueAt.Equal(before[id].DueAt) || c.Version != before[id].Version {
				t.Errorf("%s no longer waits: %+v", id, c)
			}
		}
		time.Sleep(time.Second)
		next.wantOnce("killed", ids)
		if n := len(next.got()); n != len(ids) {
			t.Errorf("%d calls, want only those to the one that was killed", n)
		}
		time.Sleep(time.Minute)
		next.wantOnce("fails", ids)
	})
}

// asksFor returns a failure with a RetryAfter.
func asksFor(d time.Duration) sink.Verdict {
	v := busy
	v.RetryAfter = d
	return v
}
