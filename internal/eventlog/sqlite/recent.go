package sqlite

import "github.com/sluicehq/sluice/internal/eventlog"

// recentBytes bounds the memory for the recent segments of all partitions together.
const recentBytes = 8 << 20

// eventOverhead approximates the memory of an event without its body.
const eventOverhead = 160

// recentSegments keeps track of the cached segments, which are in partition.recent. It
// drops the oldest of all partitions first. Log.mu guards it.
type recentSegments struct {
	order []kept // oldest first
	bytes int
}

type kept struct {
	partition *partition
	number    uint64
}

func (r *recentSegments) push(p *partition, s eventlog.Segment) {
	p.recent = append(p.recent, s)
	r.order = append(r.order, kept{p, s.Number})
	r.bytes += memoryOf(&s)
	for r.bytes > recentBytes {
		oldest := r.order[0]
		r.order[0] = kept{}
		r.order = r.order[1:]
		r.drop(oldest.partition, oldest.number)
	}
}

// drop removes a partition's cached segments up to the given number.
func (r *recentSegments) drop(p *partition, upTo uint64) {
	for len(p.recent) > 0 && p.recent[0].Number <= upTo {
		r.bytes -= memoryOf(&p.recent[0])
		p.recent[0] = eventlog.Segment{} // or the slice's array would keep it alive
		p.recent = p.recent[1:]
	}
}

func memoryOf(s *eventlog.Segment) int { return s.Bytes() + eventOverhead*len(s.Events) }
