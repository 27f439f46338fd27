package delivery_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
)

const longRunPrefix = "ATTENTION: the last 20 responses were all 400"

// rejections returns the log entries of single rejected events, and of long runs of
// them.
func (r *rig) rejections(id string) (single, runs []integration.LogEntry) {
	r.t.Helper()
	for _, e := range r.entries(id, integration.ActionEventRejected) {
		if strings.HasPrefix(e.Reason, longRunPrefix) {
			runs = append(runs, e)
		} else {
			single = append(single, e)
		}
	}
	return single, runs
}

// wantRuns fails unless the integration's log and the operator's log report that
// many long runs.
func (r *rig) wantRuns(id string, want int) {
	r.t.Helper()
	if _, runs := r.rejections(id); len(runs) != want {
		r.t.Errorf("the log of %s reports %d long runs, want %d: %+v", id, len(runs), want, runs)
	}
	line := `"msg":"receiver rejects every event","tenant":"` + tenant + `","integration":"` + id + `","rejected_in_a_row":20`
	if n := strings.Count(r.lines.String(), line); n != want {
		r.t.Errorf("the operator's log reports %d long runs of %s, want %d", n, id, want)
	}
}

func TestLongRunOfRejectionsIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		r.register(hookSpec("orders"))
		r.register(hookSpec("neighbour"))
		time.Sleep(time.Second)
		publish := func(n int) {
			r.publish(n)
			time.Sleep(time.Second)
		}
		r.answer(refuses("orders"))
		publish(19)
		r.wantRuns("orders", 0)
		publish(1)
		r.wantRuns("orders", 1)
		_, runs := r.rejections("orders")
		if len(runs) == 0 {
			t.FailNow()
		}
		for _, words := range []string{"only the newest 30 are kept", "Stop the integration", "callback_url", "retry", "replay"} {
			if !strings.Contains(runs[0].Reason, words) {
				t.Errorf("%q does not say %q", runs[0].Reason, words)
			}
		}
		publish(50)
		r.wantRuns("orders", 1)

		r.answer(takes(0, delivered))
		publish(1)
		r.answer(refuses("orders"))
		publish(19)
		r.wantRuns("orders", 1)
		publish(1)
		r.wantRuns("orders", 2)
		r.wantRuns("neighbour", 0)
		if r.levels("WARN") != 2 {
			t.Errorf("log: %s", r.lines)
		}
	})
}

// A delivery ends a run.
func TestDeliveredEventEndsARunOfRejections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		r.register(hookSpec("orders"))
		time.Sleep(time.Second)
		for range 5 {
			r.answer(takes(0, refused))
			r.publish(19)
			time.Sleep(time.Second)
			r.answer(takes(0, delivered))
			r.publish(1)
			time.Sleep(time.Second)
		}
		r.wantRuns("orders", 0)
	})
}

// The count continues from catch-up to live delivery and across failures: neither is
// a delivery.
func TestRunOfRejectionsContinuesFromCatchUpToLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		start := time.Now()
		time.Sleep(time.Second)
		r.publish(10)
		time.Sleep(time.Second)
		r.answer(takes(0, refused))
		spec := hookSpec("orders")
		spec.StartsAt = start.UTC()
		r.register(spec)
		time.Sleep(time.Second)
		if c := r.cursor("orders"); c.State != handoff.Live {
			t.Fatalf("it is %s", c.State)
		}
		r.answer(takes(0, busy))
		r.publish(9)
		time.Sleep(time.Second)
		r.answer(takes(0, refused))
		time.Sleep(time.Hour)
		single, _ := r.rejections("orders")
		if len(single) != 19 {
			t.Fatalf("%d events were rejected, want 19", len(single))
		}
		r.wantRuns("orders", 0)
		r.publish(1)
		time.Sleep(time.Second)
		r.wantRuns("orders", 1)
	})
}

// All lanes of an integration share one count, also with many calls at a time.
func TestRunOfRejectionsIsCountedOverLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, func(s *settings.Settings) { s.Lanes, s.InFlight = 4, 16 })
		r.register(hookSpec("orders"))
		time.Sleep(time.Second)
		r.answer(takes(time.Millisecond, refused))
		r.publish(19)
		time.Sleep(time.Minute)
		r.wantRuns("orders", 0)
		r.publish(60)
		time.Sleep(time.Minute)
		r.wantRuns("orders", 1)
	})
}
