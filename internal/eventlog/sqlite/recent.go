package sqlite

import "github.com/sluicehq/sluice/internal/eventlog"

// tailBytes is how much memory the tails of all partitions may take together.
const recentBytes = 8 << 20

// eventOverhead is about what an event takes in memory beside its body.
const eventOverhead = 160

// tail keeps the latest segments of all partitions in memory. Each is in the
// tail of its partition; the oldest of all goes first. The Log's lock guards it.
type recentSegments struct {
	order []kept // from the oldest to the latest
	bytes int
}

type kept struct {
	partition *partition
	number    uint64
}

func (t *recentSegments) push(p *partition, s eventlog.Segment) {
	p.recent = append(p.recent, s)
	t.order = append(t.order, kept{p, s.Number})
	t.bytes += memoryOf(&s)
	for t.bytes > recentBytes {
		oldest := t.order[0]
		t.order[0] = kept{}
		t.order = t.order[1:]
		t.drop(oldest.partition, oldest.number)
	}
}

// drop takes the segments up to the given number out of a partition's tail.
func (t *recentSegments) drop(p *partition, through uint64) {
	for len(p.recent) > 0 && p.recent[0].Number <= through {
		t.bytes -= memoryOf(&p.recent[0])
		p.recent[0] = eventlog.Segment{} // what lies before a slice is not collected otherwise
		p.recent = p.recent[1:]
	}
}

func memoryOf(s *eventlog.Segment) int { return s.Bytes() + eventOverhead*len(s.Events) }
