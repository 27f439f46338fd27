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
	// Append adds the events of the records, in their order, as the partition's
	// next segment, and returns the number of the partition's last segment:
	// whoever follows up to it has them all. When it returns without an error
	// the events are durable. If there is nothing to add, it adds nothing.
	//
	// Source names the stream that the records came from, "" for none. A stream
	// is read again, and in other cuts: after a failure a batch comes back
	// whole, in halves, from its first failed record on, or overlapping with
	// what follows. So a batch has no name, but its records have: of the source
	// that was appended to the partition last, the records up to the last one
	// appended were appended before and are left out. That is remembered for a
	// day at least, and until records of another source are appended; appends
	// without a source change nothing about it. The sequences of a call grow;
	// anything else is an error, and nothing is appended.
	Append(ctx context.Context, p event.Partition, source string, records []Record) (uint64, error)

	// Read returns the segments after the given number in order, without gaps,
	// up to about maxBytes of bodies but at least one if there is one. Where
	// the segments right after the given one are past the retention, it starts
	// with the first that is not: the caller sees the gap in the numbers.
	Read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]Segment, error)

	// Head returns the number of the last segment, 0 for none. Every append
	// that returned before the call is counted.
	End(ctx context.Context, p event.Partition) (uint64, error)

	// Seek returns a number such that every retained event published at or
	// after t is in a segment after it, and as few others as the log can tell.
	Seek(ctx context.Context, p event.Partition, t time.Time) (uint64, error)

	// Through returns a number such that every event published at or before t
	// is in a segment up to it. Settled says that this is final: no event that
	// is appended from now on was published at or before t. While it is not,
	// ask again after t, or later.
	OffsetForTime(ctx context.Context, p event.Partition, t time.Time) (number uint64, settled bool, err error)
}
