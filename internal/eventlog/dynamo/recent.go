package dynamo

import (
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// tailBytes is how much memory the segments that this process appended last may
// take: the follow loop reads them right after the append.
const recentBytes = 8 << 20

// eventOverhead is about what an event takes in memory beside its body.
const eventOverhead = 160

// tail keeps what was appended last. The oldest goes first.
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

func (t *recentSegments) add(p event.Partition, s eventlog.Segment, expires int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.segments == nil {
		t.segments = map[place]kept{}
	}
	at := place{p, s.Number}
	t.segments[at] = kept{s, expires}
	t.order = append(t.order, at)
	t.bytes += memoryOf(&s)
	for t.bytes > recentBytes {
		oldest := t.segments[t.order[0]].segment
		delete(t.segments, t.order[0])
		t.order = t.order[1:]
		t.bytes -= memoryOf(&oldest)
	}
}

// read returns the segments after the given number that are at hand, up to
// about maxBytes of bodies.
func (t *recentSegments) read(p event.Partition, after uint64, maxBytes int, now time.Time) []eventlog.Segment {
	t.mu.Lock()
	defer t.mu.Unlock()
	var segments []eventlog.Segment
	for size := 0; len(segments) == 0 || size < maxBytes; {
		k, ok := t.segments[place{p, after + 1}]
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
