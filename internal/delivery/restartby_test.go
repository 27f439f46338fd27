package delivery_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
)

// A start up to the time that an integration must be started by loses nothing, though events
// had waited for long when it was stopped and the log is trimmed. Here the process was off, so
// that they had waited for longer than an outage may last.
func TestAStartByTheTimeThatIsToldLosesNothing(t *testing.T) {
	const off = 12 * time.Hour
	for late, after := range map[bool]time.Duration{false: -time.Minute, true: time.Minute} {
		t.Run(fmt.Sprintf("late: %v", late), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, false, func(s *settings.Settings) { s.Retention, s.FailureStopAfter = 48*time.Hour, 2*time.Hour })
				r.register(hookSpec("orders"))
				r.answer(takes(0, busy))
				time.Sleep(time.Second)
				ids := r.publish(3)
				time.Sleep(time.Hour)
				r.shutdown()
				time.Sleep(off)
				r = r.restart()
				time.Sleep(time.Hour)
				in, err := r.life.Get(context.Background(), tenant, "orders")
				if err != nil || in.Running {
					t.Fatalf("%+v, %v", in, err)
				}
				ids = append(ids, r.publish(2)...)
				kept := r.w.settings.Kept()
				by := in.RestartBy(r.w.settings.Retention, kept)
				if window := by.Sub(in.StoppedAt); window > kept-off || window < kept-off-2*time.Hour {
					t.Fatalf("stopped at %v, it must be started by %v", in.StoppedAt, by)
				}
				time.Sleep(time.Until(by.Add(after)))
				r.w.trim(time.Now().Add(-kept))
				r.answer(takes(0, delivered))
				before := len(r.got())
				if _, err := r.life.Start(context.Background(), tenant, "orders"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				n, gone := times(r.got()[before:]), 0
				for _, id := range ids {
					if n[id] == 0 {
						gone++
					}
				}
				if said := len(r.entries("orders", integration.ActionEventsSkipped)); late && (gone != 3 || said != 1) || !late && gone+said > 0 {
					t.Errorf("%d of %d events are lost, and %d entries say so", gone, len(ids), said)
				}
			})
		})
	}
}
