package delivery_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
)

// A slow subscriber stays live while it blocks no one: with a full buffer, as long as
// there is nothing more to read.
func TestFullBufferBlocksNobodyAtTheEndOfTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, func(s *settings.Settings) { s.InFlight = 4 })
		r.engine.BatchBytes = eventSize
		r.register(hookSpec("slow"))
		r.register(hookSpec("fast"))
		r.answer(func(ctx context.Context, in *integration.Integration, e *event.Event, n int) sink.Verdict {
			if in.ID == "slow" {
				return takes(3*time.Second, delivered)(ctx, in, e, n)
			}
			return delivered
		})
		time.Sleep(time.Second)
		ids := r.publish(4) // one segment, twice what the buffer should hold
		time.Sleep(time.Second)
		r.wantOnce("fast", ids)
		if c := r.cursor("slow"); c.State != handoff.Live || c.Slowness != 0 {
			t.Errorf("its cursor is %+v, want it live and not slow", c)
		}
		time.Sleep(time.Minute)
		r.wantOnce("slow", ids)
	})
}
