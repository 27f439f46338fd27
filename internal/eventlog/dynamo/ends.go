package dynamo

import (
	"context"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/dynamotable"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// endState is what is known of the last segment of a partition.
type endState struct {
	number     uint64
	checkpoint eventlog.Checkpoint
	last       int64 // ms
	expires    int64 // s
	count      count // up to it
}

// ends caches the ends that this process has seen, so that an append is one put. A
// stale entry is harmless: the put of the next number fails, and the end is read again.
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
	// maxEnds bounds the cached ends, of about 250 bytes each.
	maxEnds = 10_000
	// endLife bounds trust in a cached end. It must be far below Keep, after which the
	// next segment could have been appended, expired and removed.
	endLife = time.Hour
)

func (c *ends) get(p event.Partition, now time.Time) (endState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.known[p]
	return s.endState, ok && !s.shared && now.Sub(s.at).Abs() < endLife
}

// set caches an end that this process has read or appended.
func (c *ends) set(p event.Partition, to endState, read bool, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[event.Partition]seen{}
	}
	s, ok := c.known[p]
	if ok && s.number > to.number {
		return // another goroutine has seen more
	}
	shared := s.shared
	if read {
		shared = ok && s.number < to.number
	}
	if len(c.known) >= maxEnds {
		for any := range c.known {
			delete(c.known, any)
			break
		}
	}
	c.known[p] = seen{to, now, shared}
}

// readEnd reads the end of a partition. If its last segment has expired or is gone, the
// marker may have a higher number. So it may if Segments has none: it may have been lost.
func (l *Log) readEnd(ctx context.Context, p event.Partition) (endState, error) {
	if err := ended(ctx); err != nil {
		return endState{}, err
	}
	now := l.Now()
	items, err := l.last(ctx, p, []string{attrLast, attrSource, attrSequence, attrEvents, attrSize, attrSince, dynamotable.Expires})
	if err != nil {
		return endState{}, err
	}
	var e endState
	if len(items) > 0 {
		e = items[0].end()
	}
	if len(items) == 0 || items[0].expired(now) || l.isEarlier(p, e.number) {
		var m marker
		if _, err := l.get(ctx, l.Table, newKey(p, skMarker), &m); err != nil {
			return endState{}, err
		}
		e.number = max(e.number, m.Number)
	}
	l.ends.set(p, e, true, now)
	return e, nil
}
