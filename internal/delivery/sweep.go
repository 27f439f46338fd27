package delivery

import (
	"context"
	"slices"

	"github.com/sluicehq/sluice/internal/handoff"
)

// sweepBatch limits the cursors that a sweep reads at a time, the most overdue first, and
// sweepPage those that it schedules at a time: few enough that a sweep soon ends after ctx,
// even if each start waits until it is given up.
const (
	sweepBatch = 20_000
	sweepPage  = 40
)

// Sweep schedules cursors that are overdue, as after a crash between the commit and
// the call of Schedule, and returns how many it found. It goes on until none is left or ctx
// ends, if Schedule returns only when it has started what it was given; what is left then
// is for the next sweep. Scheduling a cursor that is being advanced does no harm.
func (e *Engine) Sweep(ctx context.Context) (int, error) {
	overdue := e.Now().Add(-QuietAfter(e.Settings))
	found := map[handoff.Key]struct{}{}
	for {
		keys, err := e.Store.Due(ctx, overdue, sweepBatch+e.SoleOwner.len())
		if err != nil && (ctx.Err() == nil || len(found) == 0) {
			return len(found), err
		}
		if err != nil { // its time is used up
			return len(found), nil
		}
		keys = slices.DeleteFunc(keys, func(k handoff.Key) bool {
			_, known := found[k]
			return known || e.SoleOwner.waits(k, overdue) // due later than the store knows
		})
		if len(keys) == 0 {
			return len(found), nil
		}
		for _, k := range keys {
			found[k] = struct{}{}
		}
		for page := range slices.Chunk(keys, sweepPage) {
			if ctx.Err() != nil {
				return len(found), nil
			}
			e.Schedule(page...)
		}
	}
}
