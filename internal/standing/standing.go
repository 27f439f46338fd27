// Package standing finds where integrations are in the log: by their own cursors or,
// while they are live, by the states of their partitions. It only reads.
package standing

import (
	"context"
	"sync"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
)

// Partitions has the states of partitions: store.Store.
type Partitions interface {
	Partition(ctx context.Context, p event.Partition) (*handoff.PartitionState, error)
}

// Cursors returns a cursor with its newest failed attempts, or problem.NotFound.
type Cursors func(ctx context.Context, k handoff.Key) (*handoff.Cursor, error)

// Standing is where an integration is in one lane.
type Standing struct {
	Cursor   *handoff.Cursor
	Member   *handoff.Subscriber // nil unless it is live
	AckState handoff.AckState    // of the partition state while it is live, else the cursor's
}

// Look is one look at some integrations, which share the states of their partitions. It is
// safe for concurrent use.
type Look struct {
	partitions Partitions
	cursors    Cursors

	mu     sync.Mutex
	states map[event.Partition]*handoff.PartitionState
}

// New returns a look that has read nothing yet.
func New(partitions Partitions, cursors Cursors) *Look {
	return &Look{partitions: partitions, cursors: cursors, states: make(map[event.Partition]*handoff.PartitionState)}
}

// rereads is how often a cursor is read again that was live when it was read, and is no
// longer.
const rereads = 3

// Find finds the standing of the integration and lane of a cursor, or problem.NotFound.
func (l *Look) Find(ctx context.Context, k handoff.Key) (*Standing, error) {
	c, err := l.cursors(ctx, k)
	if err != nil {
		return nil, err
	}
	return l.Of(ctx, c)
}

// Of finds the standing of a cursor that was read just now. It returns problem.NotFound if
// the cursor was deleted since.
func (l *Look) Of(ctx context.Context, c *handoff.Cursor) (*Standing, error) {
	s := &Standing{Cursor: c, AckState: c.AckState}
	for try := 0; s.Cursor.State == handoff.Live && try < rereads; try++ {
		state, err := l.partition(ctx, c.Key.Partition(), try > 0)
		if err != nil {
			return nil, err
		}
		if s.Member = state.Find(c.Key.Integration); s.Member != nil {
			s.AckState = state.AckStateOf(s.Member)
			break
		}
		if s.Cursor, err = l.cursors(ctx, c.Key); err != nil {
			return nil, err
		}
		s.AckState = s.Cursor.AckState
	}
	return s, nil
}

// partition returns the state of a partition, which it reads once, or again.
func (l *Look) partition(ctx context.Context, p event.Partition, again bool) (*handoff.PartitionState, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if state := l.states[p]; state != nil && !again {
		return state, nil
	}
	state, err := l.partitions.Partition(ctx, p)
	if err == nil {
		l.states[p] = state
	}
	return state, err
}
