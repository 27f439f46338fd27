package health

import (
	"context"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/standing"
)

// counted counts the records that a look reads: of the log the end, and the next segment
// whether it is described, read or both.
type counted struct {
	*rig
	mu                              sync.Mutex // lanes are read at the same time
	cursors, states, ends, segments int
}

func (r *rig) counts() *counted {
	c := &counted{rig: r}
	cursor, partitions, log := r.Cursor, r.Partitions, r.Log
	r.Cursor = func(ctx context.Context, k handoff.Key) (*handoff.Cursor, error) {
		c.add(&c.cursors)
		return cursor(ctx, k)
	}
	r.Partitions = countedStates{partitions, c}
	r.Service.Log = countedLog{log, c, map[uint64]bool{}}
	return c
}

func (c *counted) add(n *int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
}

type countedStates struct {
	standing.Partitions
	*counted
}

func (s countedStates) Partition(ctx context.Context, p event.Partition) (*handoff.PartitionState, error) {
	s.add(&s.states)
	return s.Partitions.Partition(ctx, p)
}

type countedLog struct {
	Log
	*counted
	seen map[uint64]bool
}

func (l countedLog) After(ctx context.Context, p event.Partition, number uint64) (eventlog.Rest, error) {
	l.add(&l.ends)
	rest, err := l.Log.After(ctx, p, number)
	l.segment(rest.Next)
	return rest, err
}

func (l countedLog) Read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]eventlog.Segment, error) {
	segs, err := l.Log.Read(ctx, p, after, maxBytes)
	for i := range segs {
		l.segment(segs[i].Number)
	}
	return segs, err
}

func (l countedLog) segment(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if number > 0 && !l.seen[number] {
		l.seen[number] = true
		l.segments++
	}
}

// However far behind a lane is, health reads its cursor, the end of the log, and the segment
// that is next, which has the event that waits. The state of a partition that it is live in
// is one for all integrations, and read once, as what is after a place in the log.
func TestHealthReadsThreeRecordsALane(t *testing.T) {
	for name, c := range map[string]struct {
		cursor handoff.Cursor
		states int
	}{
		"fails":            {handoff.Cursor{Generation: 1, State: handoff.Scheduled, AckState: at(1, 1, 3), DueAt: minute(61), Failures: 3, FailingSince: minute(30)}, 0},
		"catches up":       {handoff.Cursor{Generation: 1, State: handoff.Scheduled, AckState: at(1, 0)}, 0},
		"is stopped":       {handoff.Cursor{Generation: 1, State: handoff.Paused, AckState: at(1, 0)}, 0},
		"live, and behind": {handoff.Cursor{Generation: 1, State: handoff.Live}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			for m := range 50 {
				r.publish(0, m, 100)
			}
			r.put(c.cursor, 0, 3)
			n := r.counts()
			if _, err := r.Of(t.Context(), hook(1)); err != nil {
				t.Fatal(err)
			}
			if n.cursors != 1 || n.ends != 1 || n.segments > 1 || n.states != c.states {
				t.Errorf("it read %d cursors, %d states, %d ends and %d segments of the log", n.cursors, n.states, n.ends, n.segments)
			}
			if _, err := r.Of(t.Context(), hook(1), hook(1), hook(1)); err != nil || n.states != 2*c.states {
				t.Errorf("of three integrations it read the state %d times: %v", n.states-c.states, err)
			}
			if n.ends != 2 {
				t.Errorf("of three integrations at one place it read the end %d times", n.ends-1)
			}
		})
	}
}
