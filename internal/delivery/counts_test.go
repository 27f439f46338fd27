package delivery_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
)

// A replay tells what became of each event of its time span: those that were sent again
// count once, and those outside of it not at all.
func TestAReplayTellsItsCounts(t *testing.T) {
	for name, c := range map[string]struct {
		spec integration.Spec
		live int // events published while it is live
		want string
	}{
		"to a webhook":          {hookSpec("a"), 0, "Of 31 events read up to END: 10 filtered out, 18 delivered, 3 rejected (2 of them kept), 0 skipped."},
		"to a webhook and live": {hookSpec("a"), 6, "Of 37 events read up to END: 10 filtered out, 24 delivered, 3 rejected (2 of them kept), 0 skipped."},
		"to files":              {bucketSpec("a"), 0, "Of 31 events read up to END: 10 filtered out, 21 delivered, 0 rejected, 0 skipped."},
		"to files and live":     {bucketSpec("a"), 6, "Of 37 events read up to END: 10 filtered out, 27 delivered, 0 rejected, 0 skipped."},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, true, func(s *settings.Settings) { s.MaxRejected, s.S3FileBytes, s.InFlight = 2, 64, 4 })
				r.engine.BatchBytes = 200 // several reads and saves
				r.unseen(2, "order.created")
				time.Sleep(time.Second)
				from := time.Now().UTC().Truncate(time.Millisecond)
				r.straddle(from)
				ids := r.unseen(10, "order.created")
				r.unseen(5, "refund.opened")
				r.answer(func(_ context.Context, _ *integration.Integration, e *event.Event, attempt int) sink.Verdict {
					switch {
					case e.ID == ids[1] || e.ID == ids[4] || e.ID == ids[5]:
						return sink.Verdict{Outcome: sink.Rejected, Status: 400, Reason: "Bad."}
					case e.ID == ids[6] && attempt < 4:
						return sink.Verdict{Outcome: sink.Retry, Status: 503, Reason: "Failed.", Cause: "failed"}
					}
					return delivered
				})
				time.Sleep(time.Second)
				until := time.Now().UTC()
				if c.live > 0 {
					until = until.Add(time.Hour)
				}
				spec := replay(c.spec, from, until)
				spec.Filter.Entities = []string{"order"}
				r.register(spec)
				time.Sleep(20 * time.Minute)
				for range c.live {
					r.publish(1)
					time.Sleep(time.Second)
				}
				time.Sleep(2 * time.Hour)
				e := r.entries("a", integration.ActionStopped)
				want := strings.Replace(c.want, "END", event.FormatTime(until), 1)
				if len(e) != 1 || e[0].Reason != "Stopped: the replay is complete. "+want {
					t.Errorf("it says %+v, want %s", e, want)
				}
				if at := r.cursor("a").Tally.DeliveredAt; at.IsZero() || at.After(time.Now()) {
					t.Errorf("last delivered at %v", at)
				}
			})
		})
	}
}

// straddle appends a segment with an event before a time, and one at it.
func (r *rig) straddle(at time.Time) {
	r.t.Helper()
	draft := event.Draft{ID: "straddling", Name: "order.created", Payload: []byte(`{}`)}
	segment := eventlog.Unnamed(draft.Stamp(tenant, at.Add(-time.Millisecond)), draft.Stamp(tenant, at))
	if _, err := r.w.log.Append(r.t.Context(), partition, "", segment); err != nil {
		r.t.Fatal(err)
	}
}

// A replay from before the retention tells what it could not have.
func TestAReplayTellsWhatIsNoLongerStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		r.unseen(1, "order.created")
		time.Sleep(time.Second)
		registered := time.Now().UTC().Truncate(time.Millisecond)
		r.register(replay(hookSpec("a"), registered.Add(-100*24*time.Hour), registered.Add(-99*24*time.Hour)))
		time.Sleep(time.Hour)
		e := r.entries("a", integration.ActionStopped)
		want := "Events published before " + event.FormatTime(registered.Add(-30*24*time.Hour)) + " were no longer stored."
		if len(e) != 1 || !strings.Contains(e[0].Reason, "Of 0 events read") || !strings.Contains(e[0].Reason, want) {
			t.Errorf("it says %+v, want %s", e, want)
		}
	})
}

// A shutdown that ends live delivery of a replay keeps what was counted until then.
func TestAReplayCountsWhatAShutdownSaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		until := time.Now().UTC().Add(time.Hour)
		r.register(replay(hookSpec("a"), time.Now(), until))
		time.Sleep(time.Second)
		r.answer(takes(100*time.Millisecond, delivered))
		r.publish(3)
		time.Sleep(50 * time.Millisecond)
		next := r.restart()
		time.Sleep(2 * time.Hour)
		e := next.entries("a", integration.ActionStopped)
		if len(e) != 1 || !strings.Contains(e[0].Reason, "Of 3 events read") || !strings.Contains(e[0].Reason, " 3 delivered") {
			t.Errorf("it says %+v, want 3 events that were delivered", e)
		}
		if n := len(r.got()) + len(next.got()); n != 3 {
			t.Errorf("%d calls, want 3", n)
		}
	})
}
