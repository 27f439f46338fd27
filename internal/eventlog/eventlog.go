// Package eventlog is the port of the log. Every event is written to the log once,
// before anything else, and kept for the retention. Package logtest is its conformance
// suite.
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
	Events []event.Event // at least one, unless it is damaged
	Damage *Damage       // nil if it could be read
}

// Damage describes a segment whose stored events no retry can read, as their bytes
// have changed. What it says was stored apart from the events.
type Damage struct {
	Err         error     // what is wrong with the stored bytes, for the operator
	Events      int       // how many there were
	First, Last time.Time // when they were published; the first may be the same as the last
}

// Rest is what a partition's log has after a segment.
type Rest struct {
	Next   uint64    // the number of the first retained segment, 0 if there is none
	Events int       // in the retained segments
	Bytes  int64     // about their size
	First  time.Time // the earliest published_at in the first of them, zero if there is none
	Last   time.Time // the latest published_at in the log, as far as is known; zero if none
}

// Bytes returns the total size of the events' bodies.
func (s *Segment) Bytes() int {
	n := 0
	for i := range s.Events {
		n += len(s.Events[i].Body)
	}
	return n
}

// Log stores the segments of every partition. Its methods are safe for concurrent use,
// and by several processes if the adapter says so. Errors are of package problem, with
// the code Unavailable if a later retry may help. Callers do not retry: they return,
// and are scheduled again.
type Log interface {
	// Append appends the events of the records, in order, as the partition's next
	// segment. It returns the partition's end: a reader that reaches it has all of
	// them. If it returns nil, the events are durable. If there is nothing to append,
	// it appends nothing.
	//
	// source names the stream that the records came from, "" for none. A stream
	// redelivers records in different batches: after a failure a batch comes again
	// whole, in halves, from its first failed record on, or overlapping the next one.
	// So the log deduplicates records, not batches. It keeps a checkpoint for the
	// source that was appended to the partition last, and skips the records of that
	// source up to the checkpoint. It keeps the checkpoint for at least a day, until
	// records of another source are appended; appends without a source do not change
	// it. The sequences within a call must grow; otherwise Append returns an error
	// and appends nothing.
	Append(ctx context.Context, p event.Partition, source string, records []Record) (uint64, error)

	// Read returns the segments after the given number, in order and without gaps: up
	// to about maxBytes of bodies, perhaps fewer than there are, but at least one if there
	// is one. If the segments
	// right after the given one are past the retention, it starts with the first
	// retained one; the caller sees the gap in the numbers.
	//
	// A segment whose events can never be read, as a second and independent read within
	// the call has confirmed, has no events and a Damage; the others are returned as ever.
	// After any other failure Read returns the segments before it, and the error only if
	// there are none.
	Read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]Segment, error)

	// End returns the number of the last segment, 0 for none. It counts every append
	// that returned before the call.
	End(ctx context.Context, p event.Partition) (uint64, error)

	// After returns what the log has after the given number. Its cost does not depend on
	// how much that is.
	After(ctx context.Context, p event.Partition, number uint64) (Rest, error)

	// Seek returns a segment number such that every retained event published at or
	// after t is in a later segment, along with as few others as the log can manage.
	Seek(ctx context.Context, p event.Partition, t time.Time) (uint64, error)

	// OffsetForTime returns a segment number such that every event published at or
	// before t is in that segment or an earlier one. final reports that this cannot
	// change: no event appended from now on was published at or before t. If it is
	// false, call again after t, or later.
	OffsetForTime(ctx context.Context, p event.Partition, t time.Time) (number uint64, final bool, err error)
}
