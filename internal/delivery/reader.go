package delivery

import (
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
)

// reader iterates over the events of a log that pass a filter: peek returns the
// next buffered one, advance moves past it, and fetch buffers more.
type reader struct {
	read    func(after uint64) ([]eventlog.Segment, error)
	filter  event.Filter
	offset  handoff.Offset     // of the next event
	segs    []eventlog.Segment // buffered; offset is in the first one
	trimmed bool               // events at the offset were no longer in the log
}

// peek returns the next buffered event that passes the filter, and nil if more
// must be fetched first. The offset moves past the events it drops.
func (r *reader) peek() *event.Event {
	for len(r.segs) > 0 {
		seg := &r.segs[0]
		for ; r.offset.Index < len(seg.Events); r.offset.Index++ {
			if ev := &seg.Events[r.offset.Index]; r.filter.Pass(ev) {
				return ev
			}
		}
		r.offset = handoff.Offset{Segment: seg.Number}
		r.segs = r.segs[1:]
	}
	return nil
}

// advance moves past the event that peek returned.
func (r *reader) advance() { r.offset.Index++ }

// fetch reads from the log once. It returns false at the end of the log. Nothing
// may be buffered.
func (r *reader) fetch() (more bool, err error) {
	r.segs, err = r.read(r.offset.Segment)
	if err != nil || len(r.segs) == 0 {
		return false, err
	}
	if first := r.segs[0].Number; first != r.offset.Segment+1 {
		r.offset, r.trimmed = handoff.Offset{Segment: first - 1}, true
	}
	return true, nil
}

// seek moves forward to an offset. A lower one is ignored.
func (r *reader) seek(to handoff.Offset) {
	if r.offset.Before(to) {
		r.offset, r.segs = to, nil
	}
}
