package delivery_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	logmemory "github.com/sluicehq/sluice/internal/eventlog/memory"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
)

// A replay whose end passes while it is catching up is complete as soon as it reaches
// that end, without another delay.
func TestReplayWhoseEndPassesWhileItIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		from := time.Now().UTC()
		time.Sleep(time.Second)
		ids := r.publish(100)
		r.answer(takes(time.Second, delivered)) // several seconds for all of them
		r.register(replay(hookSpec("replay"), from, time.Now().Add(2*time.Second)))
		began := time.Now()
		for r.status("replay") != integration.Stopped {
			if time.Sleep(100 * time.Millisecond); time.Since(began) > 20*time.Second {
				t.Fatalf("it is %s after %v, with %d of %d events", r.status("replay"), time.Since(began), len(times(r.got())), len(ids))
			}
		}
		if n := len(times(r.got())); n != len(ids) {
			t.Errorf("%d of %d events arrived", n, len(ids))
		}
	})
}

// A replay that has skipped events says so at its end, whatever its log has had room for
// since.
func TestAReplayRemembersThatItSkipped(t *testing.T) {
	const more = 2 * store.EntriesKept // log entries after the one that says so
	for name, lose := range map[string]func(r *rig, before time.Time){
		"damaged events": func(r *rig, _ time.Time) { r.w.log.(*logmemory.Log).Damage(partition, 1) },
		"trimmed events": func(r *rig, before time.Time) { r.w.log.(*logmemory.Log).Trim(before) },
	} {
		for _, spec := range []integration.Spec{hookSpec("a"), bucketSpec("a")} {
			t.Run(fmt.Sprintf("%s, to files %v", name, spec.S3 != nil), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, false, func(s *settings.Settings) { s.S3FileBytes = 1 })
					r.engine.Observer, r.engine.BatchBytes = &skips{}, 1
					r.engine.Log = slowLog{r.engine.Log, time.Second}
					since := time.Now()
					r.unseen(1, "order.created")
					time.Sleep(time.Second)
					before := time.Now()
					time.Sleep(time.Millisecond)
					r.unseen(20, "order.created")
					time.Sleep(time.Second)
					in := r.register(replay(spec, since, time.Now()))
					lose(r, before) // before the first read
					time.Sleep(10 * time.Second)
					for range more { // what else happens to it
						entry := integration.LogEntry{Action: integration.ActionRetryTriggered, CreatedAt: time.Now(), Reason: "Failed."}
						if err := r.w.records.Commit(t.Context(), store.AddEntry{History: store.HistoryOf(in), Entry: entry}); err != nil {
							t.Fatal(err)
						}
						time.Sleep(time.Millisecond)
					}
					time.Sleep(time.Hour)
					e := r.entries("a", integration.ActionStopped)
					if len(e) != 1 || !strings.Contains(e[0].Reason, "his log says") {
						t.Errorf("it says %+v", e)
					}
				})
			})
		}
	}
}

// The same while it is live.
func TestALiveReplayRemembersThatItSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		in := r.register(replay(hookSpec("a"), time.Now(), time.Now().Add(time.Hour)))
		time.Sleep(time.Second)
		r.unseen(3, "order.created")
		time.Sleep(time.Second)
		r.w.log.(*logmemory.Log).Trim(time.Now())
		if err := r.engine.DeliverLive(t.Context(), partition, delivery.NewLogEnd(3)); err != nil {
			t.Fatal(err)
		}
		if c := r.cursor("a"); c.State != handoff.Live {
			t.Fatalf("it is not live: %+v", c)
		}
		for range 2 * store.EntriesKept {
			time.Sleep(time.Second)
			entry := integration.LogEntry{Action: integration.ActionRetryTriggered, CreatedAt: time.Now(), Reason: "Failed."}
			if err := r.w.records.Commit(t.Context(), store.AddEntry{History: store.HistoryOf(in), Entry: entry}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Hour)
		e := r.entries("a", integration.ActionStopped)
		if len(e) != 1 || !strings.Contains(e[0].Reason, "his log says") {
			t.Errorf("it says %+v", e)
		}
	})
}
