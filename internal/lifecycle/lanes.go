package lifecycle

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
)

// lane is an integration's part in one partition.
type lane struct {
	cursor *handoff.Cursor
	state  *handoff.PartitionState
}

// lanes reads the cursors and partition records of an integration, all lanes
// at once: a busy partition's record changes with every batch, so the time from
// this read to the Commit must be short, or the Commit hardly ever holds.
func (s *Service) lanes(ctx context.Context, in *integration.Integration) ([]lane, error) {
	lanes := make([]lane, in.Lanes)
	var g errgroup.Group
	for i := range lanes {
		g.Go(func() (err error) {
			k := handoff.Key{Tenant: in.Tenant, Integration: in.ID, Lane: i}
			if lanes[i].cursor, err = s.Store.Cursor(ctx, k); err != nil {
				return s.gone(ctx, in, err)
			}
			lanes[i].state, err = s.Store.Partition(ctx, k.Partition())
			return err
		})
	}
	return lanes, g.Wait()
}

// gone explains a cursor that is missing: mostly the integration was deleted
// since it was read, and the transaction must begin anew.
func (s *Service) gone(ctx context.Context, in *integration.Integration, err error) error {
	if problem.CodeOf(err) != problem.NotFound {
		return err
	}
	now, readErr := s.Store.Integration(ctx, in.Tenant, in.ID)
	if readErr != nil || now.Version != in.Version {
		return store.ErrConflict
	}
	return problem.Wrap(err, problem.Internal, "integration %q has no cursor in one of its %d lanes", in.ID, in.Lanes)
}

// park stops every lane for the given generation. The records it leaves are
// among the writes.
func pause(lanes []lane, generation uint64) []store.Write {
	var writes []store.Write
	for _, l := range lanes {
		if handoff.Pause(l.state, l.cursor, generation) {
			writes = append(writes, store.PutPartition{State: l.state})
		}
		writes = append(writes, store.PutCursor{Cursor: l.cursor})
	}
	return writes
}

// usedLanes is how many of a tenant's lanes may hold events: as many as are set
// now, or more if more were set once.
func (s *Service) usedLanes(ctx context.Context, tenant string) (int, error) {
	var heads [settings.MaxLanes]uint64
	var g errgroup.Group
	for i := s.Settings.Lanes; i < len(heads); i++ {
		g.Go(func() (err error) {
			heads[i], err = s.Log.End(ctx, event.Partition{Tenant: tenant, Lane: i})
			return err
		})
	}
	err := g.Wait()
	used := len(heads)
	for used > s.Settings.Lanes && heads[used-1] == 0 {
		used--
	}
	return used, err
}

// newCursors makes the cursors of the lanes [from, in.Lanes), driven at once.
// They stand at the given time in the log, or at its end if that is zero.
func (s *Service) newCursors(ctx context.Context, in *integration.Integration, from int, since, now time.Time) ([]store.Write, error) {
	var writes []store.Write
	for i := from; i < in.Lanes; i++ {
		c := &handoff.Cursor{
			Key:        handoff.Key{Tenant: in.Tenant, Integration: in.ID, Lane: i},
			Generation: in.Generation,
			State:      handoff.Scheduled,
			DueAt:      now,
		}
		var err error
		if since.IsZero() {
			c.Offset.Segment, err = s.Log.End(ctx, c.Key.Partition())
		} else {
			c.Offset.Segment, err = s.Log.Seek(ctx, c.Key.Partition(), since)
		}
		if err != nil {
			return nil, err
		}
		writes = append(writes, store.PutCursor{Cursor: c})
	}
	return writes, nil
}

// bornAt is the time from which on an integration's events count.
func bornAt(in *integration.Integration) time.Time {
	if !in.StartsAt.IsZero() {
		return in.StartsAt
	}
	return in.CreatedAt
}

// GrowLanes gives every running integration of a tenant a cursor in each lane
// that was added to Settings.Lanes since it was registered, from the
// registration (or starts_at) on, so that nothing published there before is
// missed; Start does the same for a stopped one. It reads one record an
// integration and writes nothing where there is nothing to add.
//
// It is to be called once in a process and tenant, before the first of the
// tenant's events is delivered: a replay that ends before it would miss those
// in new lanes.
func (s *Service) GrowLanes(ctx context.Context, tenant string) error {
	all, err := s.Store.Integrations(ctx, tenant)
	if err != nil {
		return err
	}
	for _, in := range all {
		if !s.lacksLanes(in) {
			continue
		}
		if err := s.growLanes(ctx, tenant, in.ID); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) growLanes(ctx context.Context, tenant, id string) error {
	var writes []store.Write
	err := transact(id, func() error {
		writes = nil
		in, err := s.Get(ctx, tenant, id)
		if problem.CodeOf(err) == problem.NotFound {
			return nil
		}
		if err != nil || !s.lacksLanes(in) {
			return err
		}
		if writes, err = s.grow(ctx, in, bornAt(in), s.now()); err != nil {
			return err
		}
		return s.commit(ctx, append(writes, store.PutIntegration{Integration: in})...)
	})
	if err == nil && len(writes) > 0 {
		s.Schedule(scheduled(writes)...)
	}
	return err
}

func (s *Service) lacksLanes(in *integration.Integration) bool {
	return in.Running && in.Lanes < s.Settings.Lanes
}

// grow adds to an integration the lanes it has not, and returns their cursors.
func (s *Service) grow(ctx context.Context, in *integration.Integration, since, now time.Time) ([]store.Write, error) {
	had := in.Lanes
	in.Lanes = max(had, s.Settings.Lanes)
	if in.Type == integration.Temporary {
		in.OpenLanes += in.Lanes - had
	}
	return s.newCursors(ctx, in, had, since, now)
}
