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
	"github.com/sluicehq/sluice/internal/standing"
)

// Log is what is read of the log: eventlog.Log.
type Log interface {
	After(ctx context.Context, p event.Partition, number uint64) (eventlog.Rest, error)
	Read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]eventlog.Segment, error)
}

// Service tells how integrations are doing. All fields are required. Its methods are safe for
// concurrent use.
type Service struct {
	standing.Partitions
	Log      Log
	Settings settings.Settings
	Now      func() time.Time
	Cursor   standing.Cursors
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

// reading is one look at some integrations. Those that are at one place in the log, as live
// ones mostly are, share what it has after that.
type reading struct {
	*Service
	look *standing.Look

	mu    sync.Mutex
	rests map[place]func() (eventlog.Rest, error)
}

// place is the end of a segment of a partition.
type place struct {
	event.Partition
	segment uint64
}

func (s *Service) read() *reading {
	return &reading{Service: s, look: standing.New(s.Partitions, s.Cursor), rests: make(map[place]func() (eventlog.Rest, error))}
}

// after returns what the log has after a place.
func (r *reading) after(ctx context.Context, p event.Partition, segment uint64) (eventlog.Rest, error) {
	at := place{p, segment}
	r.mu.Lock()
	read := r.rests[at]
	if read == nil {
		read = sync.OnceValues(func() (eventlog.Rest, error) { return r.Log.After(ctx, p, segment) })
		r.rests[at] = read
	}
	r.mu.Unlock()
	return read()
}
