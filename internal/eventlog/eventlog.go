// Package eventlog is the port of the log: every event is written to it once,
// before anything else, and kept for the retention. Package logtest is its
// conformance suite.
package eventlog

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/internal/event"
)

// Segment is a run of consecutive events of one partition, appended together.
// Numbers are dense from 1. A segment and its events are immutable and may be
// shared.
type Segment struct {
	Number uint64
	Events []event.Event // at least one
}

// Bytes is the size of the events' bodies.
func (s *Segment) Bytes() int {
	n := 0
	for i := range s.Events {
		n += len(s.Events[i].Body)
	}
	return n
}

// Log stores the segments of every partition. Its methods are safe for
// concurrent use, by several processes too where the adapter says so. Errors
// are of package problem: Unavailable where trying again later may help.
// Callers do not retry; they end, and are driven again.
type Log interface {
	// Append adds the events as the next segment and returns its number. A
	// source (the batch's own name in the stream it came from, unique in the
	// partition; "" for none) that was appended before, within the last day, is
	// not appended again: the number it has is returned. When Append returns
	// without an error the events are durable.
	Append(ctx context.Context, p event.Partition, source string, events []event.Event) (uint64, error)

	// Read returns the segments after the given number in order, without gaps,
	// up to about maxBytes of bodies but at least one if there is one. Where
	// the segments right after the given one are past the retention, it starts
	// with the first that is not: the caller sees the gap in the numbers.
	Read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]Segment, error)

	// Head returns the number of the last segment, 0 for none. Every append
	// that returned before the call is counted.
	Head(ctx context.Context, p event.Partition) (uint64, error)

	// Seek returns a number such that every retained event published at or
	// after t is in a segment after it, and as few others as the log can tell.
	Seek(ctx context.Context, p event.Partition, t time.Time) (uint64, error)

	// Through returns a number such that every event published at or before t
	// is in a segment up to it. Settled says that this is final: no event that
	// is appended from now on was published at or before t. While it is not,
	// ask again after t, or later.
	Through(ctx context.Context, p event.Partition, t time.Time) (number uint64, settled bool, err error)
}
