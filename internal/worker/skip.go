package worker

import (
	"slices"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/handoff"
)

// Skip finds an event that an ack state knows as tried, so that it can be acknowledged
// without a delivery. It reads an ack state as a Worker does. It is not safe for
// concurrent use.
type Skip struct {
	window  *window
	eventID string
	found   deliveries.Result
}

// NewSkip returns a Skip of one event, for the ack state of an integration with the given
// filter. Give it the segments after the state's offset.
func NewSkip(filter event.Filter, state handoff.AckState, eventID string) *Skip {
	state.Ahead = slices.Clone(state.Ahead)
	return &Skip{window: newWindow(filter, state), eventID: eventID}
}

// Open reports whether the ack state says anything of segments that were not given yet.
func (s *Skip) Open() bool { return len(s.window.start.Ahead) > 0 }

// Last returns the number of the last segment it was given.
func (s *Skip) Last() uint64 { return s.window.last() }

// Find adds segments. If the event is in one of them, and the ack state says that it was
// tried and not acknowledged, Find acknowledges it, and returns it with the number of its
// attempts; otherwise nil.
func (s *Skip) Find(segs []eventlog.Segment) (ev *event.Event, attempts int) {
	for _, seg := range segs {
		if seg.Number <= s.window.last() {
			continue
		}
		s.window.add(seg)
		if s.window.idle() {
			continue // all of it is acknowledged
		}
		b := s.window.buffered[len(s.window.buffered)-1]
		for i := range b.Events {
			if attempts = b.states[i]; b.Events[i].ID == s.eventID && attempts > 0 {
				s.found = deliveries.Result{
					Place: deliveries.Place{Segment: b.Number, Index: i}, Outcome: deliveries.Skipped, Attempts: attempts, First: b.firstTries[i],
				}
				if attempts == 1 {
					s.found.Last = s.found.First
				}
				s.window.ack(item{segment: b, index: i})
				if s.window.counts {
					s.window.tally.Skipped++
				}
				return &b.Events[i], attempts
			}
		}
	}
	return nil, 0
}

// Result returns what Find has found: where the event is, how often it was tried, and when
// first, if that is known.
func (s *Skip) Result() deliveries.Result { return s.found }

// AckState returns the ack state after what Find has acknowledged.
func (s *Skip) AckState() handoff.AckState { return s.window.ackState() }
