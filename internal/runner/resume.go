package runner

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
)

// Store is what Resume reads of a store.Store.
type Store interface {
	Partition(ctx context.Context, p event.Partition) (*handoff.PartitionState, error)
	Due(ctx context.Context, before time.Time, limit int) ([]handoff.Key, error)
}

// Resume schedules what an earlier process left: partitions whose log, which ends as
// given, is not delivered to its end, and every cursor that is due at some time.
func Resume(ctx context.Context, s *Scheduler, store Store, ends map[event.Partition]uint64, now time.Time) error {
	for p, end := range ends {
		state, err := store.Partition(ctx, p)
		if problem.CodeOf(err) == problem.Unavailable || ctx.Err() != nil {
			return err
		}
		if err != nil || state.LowWatermark < end { // damage is of this partition alone: its live delivery says so
			s.Grown(p, end)
		}
	}
	const everything = 1 << 30
	keys, err := store.Due(ctx, now.AddDate(100, 0, 0), everything)
	if err != nil {
		return err
	}
	s.Schedule(keys...)
	return nil
}
