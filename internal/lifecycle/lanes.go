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

// lanesOf returns how many lanes a tenant's integrations must have cursors in.
func (s *Service) lanesOf(t *store.Tenant) int { return max(t.Lanes, s.Settings.Lanes) }

// usedLanes returns how many of a tenant's lanes may hold events: the given number, or more
// if the setting was higher once.
func (s *Service) usedLanes(ctx context.Context, tenant string, least int) (int, error) {
	var ends [settings.MaxLanes]uint64
	var g errgroup.Group
	for i := least; i < len(ends); i++ {
		g.Go(func() (err error) {
			ends[i], err = s.Log.End(ctx, event.Partition{Tenant: tenant, Lane: i})
			return err
		})
	}
	err := g.Wait()
	used := len(ends)
	for used > least && ends[used-1] == 0 {
		used--
	}
	return used, err
}

// newCursors returns writes for cursors in the lanes [from, in.Lanes), due now, or paused if
// the integration does not run. They start at the given time in the log, or at its end if
// since is zero.
func (s *Service) newCursors(ctx context.Context, in *integration.Integration, from int, since, now time.Time) ([]store.Write, error) {
	var writes []store.Write
	for i := from; i < in.Lanes; i++ {
		c := &handoff.Cursor{
			Key:        handoff.Key{Tenant: in.Tenant, Integration: in.ID, Lane: i},
			Generation: in.Generation,
			State:      handoff.Paused,
		}
		if in.Running {
			c.State, c.DueAt = handoff.Scheduled, now
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

// GrowLanes gives every integration of a tenant a cursor in each lane by which the
// tenant's lanes, or Settings.Lanes, have grown since it was registered. The cursor starts
// at the registration (or starts_at), so the integration misses nothing published
// there before. GrowLanes reads one record per integration and writes only where lanes are
// missing.
//
// Call it before a lane of one tenant is opened; and, as Settings.Lanes may have been raised,
// once per process and tenant before the tenant's first event is delivered: a replay
// that finishes earlier misses the events in new lanes.
func (s *Service) GrowLanes(ctx context.Context, tenant string) error {
	t, err := s.Store.Tenant(ctx, tenant)
	if err != nil {
		return err
	}
	lanes := s.lanesOf(t)
	all, err := s.Store.Integrations(ctx, tenant) // not before the tenant: who registers meanwhile has read the new number, or conflicts
	if err != nil {
		return err
	}
	for _, in := range all {
		if !lacksLanes(in, lanes) {
			continue
		}
		if err := s.growLanes(ctx, tenant, in.ID, lanes); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) growLanes(ctx context.Context, tenant, id string, lanes int) error {
	var writes []store.Write
	err := transact(id, func() error {
		writes = nil
		in, err := s.Get(ctx, tenant, id)
		if problem.CodeOf(err) == problem.NotFound {
			return nil
		}
		if err != nil || !lacksLanes(in, lanes) {
			return err
		}
		if writes, err = s.grow(ctx, in, lanes, in.ReceivesFrom(), s.now()); err != nil {
			return err
		}
		return s.commit(ctx, append(writes, store.PutIntegration{Integration: in})...)
	})
	if keys := scheduled(writes); err == nil && len(keys) > 0 {
		s.Schedule(keys...)
	}
	return err
}

// lacksLanes reports whether an integration must get more lanes. A replay that is complete
// has had everything in its time.
func lacksLanes(in *integration.Integration, lanes int) bool {
	return in.CompletedAt.IsZero() && in.Lanes < lanes
}

// grow adds the missing lanes to an integration and returns the writes for their
// cursors.
func (s *Service) grow(ctx context.Context, in *integration.Integration, lanes int, since, now time.Time) ([]store.Write, error) {
	had := in.Lanes
	in.Lanes = max(had, lanes)
	if in.Type == integration.Temporary {
		in.OpenLanes += in.Lanes - had
	}
	return s.newCursors(ctx, in, had, since, now)
}
