package delivery

import (
	"context"
	"slices"

	"github.com/sluicehq/sluice/internal/handoff"
)

// sweepBatch limits the cursors that one sweep schedules. The most overdue come
// first; the next sweep takes the rest.
const sweepBatch = 1000

// Sweep schedules cursors that are overdue, as after a crash between the commit and
// the call of Schedule, and returns how many it found. Scheduling a cursor that is
// being advanced does no harm.
func (e *Engine) Sweep(ctx context.Context) (int, error) {
	overdue := e.Now().Add(-QuietAfter(e.Settings))
	keys, err := e.Store.Due(ctx, overdue, sweepBatch+e.SoleOwner.len())
	if err != nil {
		return 0, err
	}
	keys = slices.DeleteFunc(keys, func(k handoff.Key) bool { return e.SoleOwner.waits(k, overdue) }) // due later than the store knows
	e.Schedule(keys...)
	return len(keys), nil
}
