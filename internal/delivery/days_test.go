package delivery_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
)

// A start within the retention delivers the events published while the integration
// was stopped. A later start skips them, and the log says so.
func TestStartBeforeAndAfterThirtyDays(t *testing.T) {
	for name, c := range map[string]struct {
		stopped time.Duration
		skips   bool
	}{
		"an hour before": {30*24*time.Hour - time.Hour, false},
		"an hour after":  {30*24*time.Hour + time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, nil)
				r.register(hookSpec("orders"))
				time.Sleep(time.Second)
				if _, err := r.life.Stop(t.Context(), tenant, "orders"); err != nil {
					t.Fatal(err)
				}
				missed := r.publish(3)
				time.Sleep(c.stopped)
				if _, err := r.life.Start(t.Context(), tenant, "orders"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				next := r.publish(2)
				time.Sleep(time.Minute)
				want := next
				if !c.skips {
					want = slices.Concat(missed, next)
				}
				r.wantOnce("orders", want)
				if n := len(r.got()); n != len(want) {
					t.Errorf("%d calls, want %d", n, len(want))
				}
				if said := len(r.entries("orders", integration.ActionEventsSkipped)) > 0; said != c.skips {
					t.Errorf("the log has events_skipped: %v, want %v", said, c.skips)
				}
			})
		})
	}
}

// A complete replay stays readable for a while, and is then deleted.
func TestExpiredReplayIsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		from := time.Now().UTC()
		time.Sleep(time.Second)
		r.publish(3)
		r.register(replay(hookSpec("replay"), from, time.Now()))
		time.Sleep(time.Minute)
		for _, delay := range []time.Duration{23 * time.Hour, 2 * time.Hour} {
			if s := r.status("replay"); s != integration.Stopped {
				t.Fatalf("it is %s", s)
			}
			time.Sleep(delay)
			if err := r.life.DeleteExpiredReplays(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.life.Get(t.Context(), tenant, "replay"); problem.CodeOf(err) != problem.NotFound {
			t.Errorf("after its expiry: %v, want not_found", err)
		}
	})
}
