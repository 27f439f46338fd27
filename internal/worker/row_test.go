package worker

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/timelimit"
)

// A context and a timer for each call would cost more than a worker does otherwise.
func TestCallsOfASlotShareATimeLimit(t *testing.T) {
	const events, inFlight = 100, 4
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		rows := map[*timelimit.Calls]int{}
		c := &counter{got: map[string]int{}, answer: deliveredAlways}
		w, _ := workerOver(c, inFlight, handoff.AckState{}, false)
		w.job.Send = func(ctx context.Context, e *event.Event, attempt int) sink.Verdict {
			mu.Lock()
			rows[ctx.(*timelimit.Calls)]++
			mu.Unlock()
			time.Sleep(time.Millisecond)
			return c.Send(ctx, e, attempt)
		}
		w.Extend(time.Now().Add(time.Hour))
		w.Give([]eventlog.Segment{numbered(1, events)})
		time.Sleep(time.Minute)
		w.Halt()
		w.Drain()
		if len(rows) != inFlight || w.State().Acks != events {
			t.Errorf("%d events in %d rows, want %d in %d", w.State().Acks, len(rows), events, inFlight)
		}
	})
}
