package worker

import (
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
)

// window is the ack window of one worker: the buffered segments with the state of
// each event, and the next event to send. It is not safe for concurrent use.
type window struct {
	filter   event.Filter
	start    handoff.AckState   // before the first buffered segment
	buffered []*bufferedSegment // in order, the first not wholly acknowledged
	next     int                // index in buffered of the segment to take from
	acked    uint64             // the last segment that is wholly acknowledged
	tally    handoff.Tally      // of the acknowledged events
	counts   bool               // the tally has counts: of a replay, which has an end
}

// bufferedSegment is a segment with the state of each event: handoff.Acked or the
// number of failed attempts.
type bufferedSegment struct {
	eventlog.Segment
	states []int
	next   int // the next event to take
	open   int // number of events that are not acknowledged
	// results are those of its calls; nil before the first one.
	results *results
	// firstTries has, for each event with failed attempts, when the first one began, in ms
	// since 1970, if that is known.
	firstTries map[int]int64
}

// item is one event to send, and the number of the attempt.
type item struct {
	segment *bufferedSegment
	index   int
	attempt int
	nth     int // call of the segment, if results are collected
}

func (i item) event() *event.Event { return &i.segment.Events[i.index] }

func (i item) place() deliveries.Place {
	return deliveries.Place{Segment: i.segment.Number, Index: i.index}
}

func newWindow(filter event.Filter, start handoff.AckState) *window {
	return &window{filter: filter, start: start, acked: start.Offset.Segment, tally: start.Tally, counts: !filter.Until.IsZero()}
}

// last is the number of the last segment it was given.
func (w *window) last() uint64 {
	if len(w.buffered) == 0 {
		return w.acked
	}
	return w.buffered[len(w.buffered)-1].Number
}

// add buffers a segment. It ignores segments it already has. After a gap in the
// numbers, where segments were trimmed or delivered by another process, and at a damaged
// segment, it drops the states that it knows: they are of events that are not there.
func (w *window) add(seg eventlog.Segment) {
	if seg.Number <= w.last() {
		return
	}
	b := &bufferedSegment{Segment: seg, states: make([]int, len(seg.Events))}
	if seg.Number == w.last()+1 && seg.Damage == nil {
		w.restore(b)
	} else {
		w.start = handoff.AckState{}
	}
	for i, state := range b.states {
		if state != handoff.Acked && !w.filter.Pass(&seg.Events[i]) {
			b.states[i] = handoff.Acked
			if w.counts && w.filter.Covers(&seg.Events[i]) {
				w.tally.Filtered++
			}
		}
		if b.states[i] != handoff.Acked {
			b.open++
		}
	}
	w.buffered = append(w.buffered, b)
	w.drop()
}

// restore applies what is left of the start state to the next segment.
func (w *window) restore(b *bufferedSegment) {
	acked := min(w.start.Offset.Index, len(b.states))
	for i := range acked {
		b.states[i] = handoff.Acked
	}
	known := min(len(w.start.Ahead), len(b.states)-acked)
	copy(b.states[acked:], w.start.Ahead[:known])
	for i, state := range w.start.Ahead[:known] {
		if state > 0 && len(w.start.FirstTries) > 0 {
			b.firstTried(acked+i, w.start.FirstTries[0])
			w.start.FirstTries = w.start.FirstTries[1:]
		}
	}
	w.start.Offset.Index -= acked
	w.start.Ahead = w.start.Ahead[known:]
}

// more reports whether there is an event to send.
func (w *window) more() bool {
	for w.next < len(w.buffered) {
		b := w.buffered[w.next]
		for ; b.next < len(b.states); b.next++ {
			if b.states[b.next] != handoff.Acked {
				return true
			}
		}
		w.next++
	}
	return false
}

// take returns the next event to send, if there is one.
func (w *window) take() (item, bool) {
	if !w.more() {
		return item{}, false
	}
	b := w.buffered[w.next]
	i := b.next
	b.next++
	return item{segment: b, index: i, attempt: b.states[i] + 1}, true
}

// skip passes over the segments up to upTo, which are no longer in the log.
// Nothing may be buffered.
func (w *window) skip(upTo uint64) {
	w.start, w.acked = handoff.AckState{}, max(w.acked, upTo)
}

// ack records that an event is acknowledged. It reports whether that completes a
// segment.
func (w *window) ack(i item) bool {
	i.segment.states[i.index] = handoff.Acked
	i.segment.open--
	return i.segment.open == 0 && w.drop()
}

// tallied records what became of an event that is acknowledged.
func (w *window) tallied(delivered bool, now time.Time) {
	switch {
	case delivered:
		w.tally.DeliveredAt = now.UTC().Truncate(time.Millisecond)
		if w.counts {
			w.tally.Delivered++
		}
	case w.counts:
		w.tally.Rejected++
	}
}

// fail records a failed attempt that began at the given time.
func (w *window) fail(i item, began time.Time) {
	if i.segment.states[i.index]++; i.attempt == 1 {
		i.segment.firstTried(i.index, millis(began))
	}
}

// firstTried notes when the first attempt of an event began that has failed.
func (b *bufferedSegment) firstTried(index int, ms int64) {
	if b.firstTries == nil {
		b.firstTries = make(map[int]int64)
	}
	b.firstTries[index] = ms
}

// drop removes the oldest segments while they are wholly acknowledged.
func (w *window) drop() bool {
	n := 0
	for n < len(w.buffered) && w.buffered[n].open == 0 {
		w.acked = w.buffered[n].Number
		if d := w.buffered[n].Damage; d != nil && w.counts {
			w.tally.Skipped += d.Events
		}
		n++
	}
	w.buffered = slices.Delete(w.buffered, 0, n)
	w.next = max(0, w.next-n)
	if len(w.buffered) > 0 {
		w.acked = w.buffered[0].Number - 1 // a gap before it counts as acknowledged
	}
	return n > 0
}

// idle reports whether everything buffered is acknowledged.
func (w *window) idle() bool { return len(w.buffered) == 0 }

// bytes is the size of the buffered segments.
func (w *window) bytes() int {
	n := 0
	for _, b := range w.buffered {
		n += b.Bytes()
	}
	return n
}

// ackState returns the state to save, from which a later worker goes on without
// sending an acknowledged event again.
func (w *window) ackState() handoff.AckState {
	s := handoff.AckState{Offset: handoff.Offset{Segment: w.acked}, Tally: w.tally}
	if len(w.buffered) == 0 {
		// The states of a segment that was not read yet still hold.
		s.Offset.Index, s.Ahead, s.FirstTries = w.start.Offset.Index, w.start.Ahead, w.start.FirstTries
		return s
	}
	states := w.buffered[0].states
	for s.Offset.Index < len(states) && states[s.Offset.Index] == handoff.Acked {
		s.Offset.Index++
	}
	s.Ahead = append(s.Ahead, states[s.Offset.Index:]...)
	s.FirstTries = w.buffered[0].appendFirstTries(s.FirstTries)
	for i, b := range w.buffered[1:] {
		if b.Number != w.buffered[i].Number+1 || b.Damage != nil {
			break // states count from the offset, so a gap ends them, and a segment without its events
		}
		s.Ahead = append(s.Ahead, b.states...)
		s.FirstTries = b.appendFirstTries(s.FirstTries)
	}
	s.Ahead = append(s.Ahead, w.start.Ahead...) // empty where there is a gap
	s.FirstTries = append(s.FirstTries, w.start.FirstTries...)
	for len(s.Ahead) > 0 && s.Ahead[len(s.Ahead)-1] == 0 {
		s.Ahead = s.Ahead[:len(s.Ahead)-1]
	}
	for len(s.FirstTries) > 0 && s.FirstTries[len(s.FirstTries)-1] == 0 {
		s.FirstTries = s.FirstTries[:len(s.FirstTries)-1]
	}
	if len(s.FirstTries) == 0 {
		s.FirstTries = nil
	}
	return s
}

// appendFirstTries appends the first tries of the events with failed attempts, in order.
func (b *bufferedSegment) appendFirstTries(to []int64) []int64 {
	for i, state := range b.states {
		if state > 0 {
			to = append(to, b.firstTries[i])
		}
	}
	return to
}
