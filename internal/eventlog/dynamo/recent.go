package dynamo

import (
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// recentBytes bounds the memory for the segments that this process appended last. Live
// delivery reads them right after the append.
const recentBytes = 8 << 20

// eventOverhead approximates the memory of an event without its body.
const eventOverhead = 160

// recentSegments caches the segments appended last. It drops the oldest first.
type recentSegments struct {
	mu       sync.Mutex
	segments map[place]kept
	order    []place
	bytes    int
}

type place struct {
	partition event.Partition
	number    uint64
}

type kept struct {
	segment eventlog.Segment
	expires int64
}

func (r *recentSegments) add(p event.Partition, s eventlog.Segment, expires int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.segments == nil {
		r.segments = map[place]kept{}
	}
	at := place{p, s.Number}
	r.segments[at] = kept{s, expires}
	r.order = append(r.order, at)
	r.bytes += memoryOf(&s)
	for r.bytes > recentBytes {
		oldest := r.segments[r.order[0]].segment
		delete(r.segments, r.order[0])
		r.order = r.order[1:]
		r.bytes -= memoryOf(&oldest)
	}
}

// read returns the cached segments right after the given number, up to about maxBytes
// of bodies.
func (r *recentSegments) read(p event.Partition, after uint64, maxBytes int, now time.Time) []eventlog.Segment {
	r.mu.Lock()
	defer r.mu.Unlock()
	var segments []eventlog.Segment
	for size := 0; len(segments) == 0 || size < maxBytes; {
		k, ok := r.segments[place{p, after + 1}]
		if !ok || now.Unix() >= k.expires {
			break
		}
		segments = append(segments, k.segment)
		size += k.segment.Bytes()
		after++
	}
	return segments
}

func memoryOf(s *eventlog.Segment) int { return s.Bytes() + eventOverhead*len(s.Events) }
