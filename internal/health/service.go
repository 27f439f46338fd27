package health

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
)

// Log is what is read of the log: eventlog.Log.
type Log interface {
	After(ctx context.Context, p event.Partition, number uint64) (eventlog.Rest, error)
	Read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]eventlog.Segment, error)
}

// Partitions has the states of partitions: store.Store.
type Partitions interface {
	Partition(ctx context.Context, p event.Partition) (*handoff.PartitionState, error)
}

// Service tells how integrations are doing. All fields are required. Its methods are safe for
// concurrent use.
type Service struct {
	Partitions
	Log      Log
	Settings settings.Settings
	Now      func() time.Time
	// Cursor returns a cursor with its newest failed attempts, or problem.NotFound.
	Cursor func(ctx context.Context, k handoff.Key) (*handoff.Cursor, error)
}

// readsAtATime is how many lanes one call reads at a time.
const readsAtATime = 16

// Of returns the health of each integration, nil for one that was deleted meanwhile. In
// each lane it reads the cursor, the partition's state if it is live, and of the log the
// end and, unless the lane is there, the next segment.
func (s *Service) Of(ctx context.Context, all ...*integration.Integration) ([]*Health, error) {
	r := s.read()
	lanes := make([][]lane, len(all))
	var g errgroup.Group
	g.SetLimit(readsAtATime)
	for i, in := range all {
		lanes[i] = make([]lane, in.Lanes)
		for n := range in.Lanes {
			g.Go(func() (err error) {
				lanes[i][n], err = r.laneOf(ctx, in, n)
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	found := make([]*Health, len(all))
	for i, in := range all {
		found[i] = s.health(in, lanes[i], s.Now())
	}
	return found, nil
}

// BehindOf returns what each of the cursors is behind the log. One that was deleted
// meanwhile is behind nothing.
func (s *Service) BehindOf(ctx context.Context, cursors []*handoff.Cursor) ([]Behind, error) {
	r := s.read()
	all := make([]Behind, len(cursors))
	for i, c := range cursors {
		l, err := r.lane(ctx, c)
		if err != nil && problem.CodeOf(err) != problem.NotFound {
			return nil, err
		}
		all[i] = l.behind
	}
	return all, nil
}

// reading is one look at some integrations, which share the states of their partitions.
type reading struct {
	*Service
	mu     sync.Mutex
	states map[event.Partition]*handoff.PartitionState
}

func (s *Service) read() *reading {
	return &reading{Service: s, states: make(map[event.Partition]*handoff.PartitionState)}
}

// partition returns the state of a partition, which it reads once, or again.
func (r *reading) partition(ctx context.Context, p event.Partition, again bool) (*handoff.PartitionState, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if state := r.states[p]; state != nil && !again {
		return state, nil
	}
	state, err := r.Partition(ctx, p)
	if err == nil {
		r.states[p] = state
	}
	return state, err
}
