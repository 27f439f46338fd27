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
	tally   handoff.Tally      // of the events before the offset
	counts  bool               // the tally has counts
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
			} else if r.counts && r.filter.Covers(ev) {
				r.tally.Filtered++
			}
		}
		if seg.Damage != nil && r.counts {
			r.tally.Skipped += seg.Damage.Events
		}
		r.offset = handoff.Offset{Segment: seg.Number}
		r.segs = r.segs[1:]
	}
	return nil
}

// advance moves past the event that peek returned.
func (r *reader) advance() {
	r.offset.Index++
	if r.counts {
		r.tally.Delivered++
	}
}

// ackState returns the offset, as the events before it are acknowledged.
func (r *reader) ackState() handoff.AckState {
	return handoff.AckState{Offset: r.offset, Tally: r.tally}
}

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
func (r *reader) seek(to handoff.AckState) {
	if r.offset.Before(to.Offset) {
		r.offset, r.segs = to.Offset, nil
	}
	r.tally = to.Tally
}
