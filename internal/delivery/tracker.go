package delivery

import (
	"slices"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
)

// tracker keeps one integration's progress through the segments in hand: which
// events are through, how often the others were tried, which is next. It is not
// safe for concurrent use.
type tracker struct {
	filter  event.Filter
	start   handoff.Progress // before the first segment in hand
	held    []*heldSegment   // in hand, in order, the first not wholly through
	next    int              // index in held of the segment to take from
	through uint64           // the last segment that is wholly through
}

// heldSegment is a segment in hand with a mark for each event: handoff.Through
// or the number of attempts made.
type heldSegment struct {
	eventlog.Segment
	marks []int
	next  int // the next event to take
	open  int // events that are not through
}

// item is one event to send.
type item struct {
	segment *heldSegment
	index   int
}

func (i item) event() *event.Event { return &i.segment.Events[i.index] }
func (i item) attempt() int        { return i.segment.marks[i.index] + 1 }

func newTracker(filter event.Filter, start handoff.Progress) *tracker {
	return &tracker{filter: filter, start: start, through: start.Position.Segment}
}

// last is the number of the last segment it was given.
func (t *tracker) last() uint64 {
	if len(t.held) == 0 {
		return t.through
	}
	return t.held[len(t.held)-1].Number
}

// add takes a segment in hand. Segments it already has are ignored; a gap in
// the numbers means that what lies between was trimmed, or delivered by another
// follow loop, and what is known of events there is dropped.
func (t *tracker) add(seg eventlog.Segment) {
	if seg.Number <= t.last() {
		return
	}
	h := &heldSegment{Segment: seg, marks: make([]int, len(seg.Events))}
	if seg.Number == t.last()+1 {
		t.restore(h)
	} else {
		t.start = handoff.Progress{}
	}
	for i, mark := range h.marks {
		if mark != handoff.Through && !t.filter.Pass(&seg.Events[i]) {
			h.marks[i] = handoff.Through
		}
		if h.marks[i] != handoff.Through {
			h.open++
		}
	}
	t.held = append(t.held, h)
	t.drop()
}

// restore applies what is left of the start to the next segment.
func (t *tracker) restore(h *heldSegment) {
	through := min(t.start.Position.Index, len(h.marks))
	for i := range through {
		h.marks[i] = handoff.Through
	}
	known := min(len(t.start.Ahead), len(h.marks)-through)
	copy(h.marks[through:], t.start.Ahead[:known])
	t.start.Position.Index -= through
	t.start.Ahead = t.start.Ahead[known:]
}

// more reports whether there is an event to send.
func (t *tracker) more() bool {
	for t.next < len(t.held) {
		h := t.held[t.next]
		for ; h.next < len(h.marks); h.next++ {
			if h.marks[h.next] != handoff.Through {
				return true
			}
		}
		t.next++
	}
	return false
}

// take returns the next event to send, if there is one.
func (t *tracker) take() (item, bool) {
	if !t.more() {
		return item{}, false
	}
	h := t.held[t.next]
	i := h.next
	h.next++
	return item{h, i}, true
}

// skip passes over the segments up to the given number, which are no longer in
// the log. Nothing may be in hand.
func (t *tracker) skip(through uint64) {
	t.start, t.through = handoff.Progress{}, max(t.through, through)
}

// settle records that an event got through. It reports whether a whole segment
// was finished by it.
func (t *tracker) settle(i item) bool {
	i.segment.marks[i.index] = handoff.Through
	i.segment.open--
	return i.segment.open == 0 && t.drop()
}

// fail records a failed attempt.
func (t *tracker) fail(i item) { i.segment.marks[i.index]++ }

// drop lets go of the segments at the front that are wholly through.
func (t *tracker) drop() bool {
	n := 0
	for n < len(t.held) && t.held[n].open == 0 {
		t.through = t.held[n].Number
		n++
	}
	t.held = slices.Delete(t.held, 0, n)
	t.next = max(0, t.next-n)
	if len(t.held) > 0 {
		t.through = t.held[0].Number - 1 // a gap before it is through as well
	}
	return n > 0
}

// idle reports whether everything in hand is through.
func (t *tracker) idle() bool { return len(t.held) == 0 }

// bytes is the size of the segments in hand.
func (t *tracker) bytes() int {
	n := 0
	for _, h := range t.held {
		n += h.Bytes()
	}
	return n
}

// progress is what has to be kept to go on from here later, with nothing sent
// again that is known to be through.
func (t *tracker) progress() handoff.Progress {
	p := handoff.Progress{Position: handoff.Position{Segment: t.through}}
	if len(t.held) == 0 {
		// What was known of a segment that was not read is still known.
		p.Position.Index, p.Ahead = t.start.Position.Index, t.start.Ahead
		return p
	}
	marks := t.held[0].marks
	for p.Position.Index < len(marks) && marks[p.Position.Index] == handoff.Through {
		p.Position.Index++
	}
	p.Ahead = append(p.Ahead, marks[p.Position.Index:]...)
	for i, h := range t.held[1:] {
		if h.Number != t.held[i].Number+1 {
			break // marks are counted from the position, so none can be kept beyond a gap
		}
		p.Ahead = append(p.Ahead, h.marks...)
	}
	p.Ahead = append(p.Ahead, t.start.Ahead...) // empty where there is a gap
	for len(p.Ahead) > 0 && p.Ahead[len(p.Ahead)-1] == 0 {
		p.Ahead = p.Ahead[:len(p.Ahead)-1]
	}
	return p
}
