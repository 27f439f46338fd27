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

// lane is an integration's cursor in one partition, and the partition's state.
type lane struct {
	cursor *handoff.Cursor
	state  *handoff.PartitionState
}

// lanes reads an integration's cursors and partition states, all lanes
// concurrently: the state of a busy partition changes with every batch, so the
// time from this read to the Commit must be short, or most Commits conflict.
func (s *Service) lanes(ctx context.Context, in *integration.Integration) ([]lane, error) {
	lanes := make([]lane, in.Lanes)
	var g errgroup.Group
	for i := range lanes {
		g.Go(func() (err error) {
			k := handoff.Key{Tenant: in.Tenant, Integration: in.ID, Lane: i}
			if lanes[i].cursor, err = s.Store.Cursor(ctx, k); err != nil {
				return s.gone(ctx, in, err)
			}
			if s.Newest != nil {
				lanes[i].cursor = s.Newest(lanes[i].cursor)
			}
			lanes[i].state, err = s.Store.Partition(ctx, k.Partition())
			return err
		})
	}
	return lanes, g.Wait()
}

// gone returns the error for a missing cursor. Usually the integration was
// deleted after it was read: then it is ErrConflict, to retry the transaction.
func (s *Service) gone(ctx context.Context, in *integration.Integration, err error) error {
	if problem.CodeOf(err) != problem.NotFound {
		return err
	}
	now, readErr := s.Store.Integration(ctx, in.Tenant, in.ID)
	if readErr != nil || now.Version != in.Version {
		return store.ErrConflict
	}
	return problem.Wrap(err, problem.Internal, "integration %q lacks a cursor in one of its %d lanes", in.ID, in.Lanes)
}

// pause pauses the cursor of every lane for the given generation and takes the
// integration out of the live sets. It returns the writes for all of that.
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

// usedLanes returns how many of a tenant's lanes may hold events: Settings.Lanes,
// or more if the setting was higher once.
func (s *Service) usedLanes(ctx context.Context, tenant string) (int, error) {
	var ends [settings.MaxLanes]uint64
	var g errgroup.Group
	for i := s.Settings.Lanes; i < len(ends); i++ {
		g.Go(func() (err error) {
			ends[i], err = s.Log.End(ctx, event.Partition{Tenant: tenant, Lane: i})
			return err
		})
	}
	err := g.Wait()
	used := len(ends)
	for used > s.Settings.Lanes && ends[used-1] == 0 {
		used--
	}
	return used, err
}

// newCursors returns writes for cursors in the lanes [from, in.Lanes), due now.
// They start at the given time in the log, or at its end if since is zero.
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

// GrowLanes gives every running integration of a tenant a cursor in each lane
// by which Settings.Lanes has grown since it was registered. The cursor starts at
// the registration (or starts_at), so the integration misses nothing published
// there before; Start does the same for a stopped one. GrowLanes reads one record
// per integration and writes only where lanes are missing.
//
// Call it once per process and tenant, before the tenant's first event is
// delivered: a replay that finishes earlier misses the events in new lanes.
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
		if writes, err = s.grow(ctx, in, in.ReceivesFrom(), s.now()); err != nil {
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

// grow adds the missing lanes to an integration and returns the writes for their
// cursors.
func (s *Service) grow(ctx context.Context, in *integration.Integration, since, now time.Time) ([]store.Write, error) {
	had := in.Lanes
	in.Lanes = max(had, s.Settings.Lanes)
	if in.Type == integration.Temporary {
		in.OpenLanes += in.Lanes - had
	}
	return s.newCursors(ctx, in, had, since, now)
}
