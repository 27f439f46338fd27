package dynamo

import (
	"context"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// head is what is known of the last segment of a partition.
type endState struct {
	number     uint64
	checkpoint eventlog.Checkpoint
	last       int64 // ms
	expires    int64 // s
}

// heads caches the heads that this process has seen, so that an append is one
// put. A stale head does no harm: the put of the next number fails, and the head
// is read again.
type ends struct {
	mu    sync.Mutex
	known map[event.Partition]seen
}

type seen struct {
	endState
	at time.Time
	// shared: when it was last read, another process had appended since. The
	// next append reads it first, which costs less than a put that fails.
	shared bool
}

const (
	// maxHeads is how many heads are kept, of about 200 bytes each.
	maxEnds = 10_000
	// headLife is how long a cached head is trusted. It must be far below Keep: by
	// then the next segment could have been appended, have expired and be removed.
	endLife = time.Hour
)

func (h *ends) get(p event.Partition, now time.Time) (endState, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, ok := h.known[p]
	return s.endState, ok && !s.shared && now.Sub(s.at).Abs() < endLife
}

// set remembers a head that was read, or that this process has appended.
func (h *ends) set(p event.Partition, to endState, read bool, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known == nil {
		h.known = map[event.Partition]seen{}
	}
	s, ok := h.known[p]
	if ok && s.number > to.number {
		return // another goroutine has seen more
	}
	shared := s.shared
	if read {
		shared = ok && s.number < to.number
	}
	if len(h.known) >= maxEnds {
		for any := range h.known {
			delete(h.known, any)
			break
		}
	}
	h.known[p] = seen{to, now, shared}
}

// readHead reads the head of a partition. Where its last segment has expired, or
// is gone, the marker may know a higher number.
func (l *Log) readEnd(ctx context.Context, p event.Partition) (endState, error) {
	if err := ended(ctx); err != nil {
		return endState{}, err
	}
	now := l.Now()
	items, _, err := l.query(ctx, p, 0, query{limit: 1, backwards: true, only: []string{attrLast, attrSource, attrSequence, dynamotable.Expires}})
	if err != nil {
		return endState{}, err
	}
	var h endState
	if len(items) > 0 {
		h = items[0].head()
	}
	if len(items) == 0 || items[0].expired(now) {
		var m marker
		if _, err := l.get(ctx, newKey(p, skMarker), &m); err != nil {
			return endState{}, err
		}
		h.number = max(h.number, m.Number)
	}
	l.ends.set(p, h, true, now)
	return h, nil
}
