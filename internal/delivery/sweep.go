package delivery

import "context"

// sweepBatch is how many overdue cursors one sweep restarts at most. What is
// left is the longest overdue at the next.
const sweepBatch = 1000

// Sweep starts again what nobody drives although it is overdue: a crash between
// "wrote the cursor" and "started its driver" heals by it. It returns how many
// it found. A cursor that is driven all the same takes no harm.
func (e *Engine) Sweep(ctx context.Context) (int, error) {
	overdue := e.Now().Add(-QuietAfter(e.Settings))
	keys, err := e.Store.Due(ctx, overdue, sweepBatch)
	if err != nil {
		return 0, err
	}
	e.Schedule(keys...)
	return len(keys), nil
}
