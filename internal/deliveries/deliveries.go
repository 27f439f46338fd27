// Package deliveries tells what was sent to an integration: when, after how many attempts,
// and with which response. A delivery record is saved with the commit that moves an
// offset, and has the results of that commit, of all integrations that live delivery
// served with it, or of one that catches up. Nothing else reads it: what is through,
// and what is not, is in the offsets.
//
// An event is named by its place in the log, which has its id, its name and its time.
package deliveries

import (
	"cmp"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
)

// Outcome is what became of an event.
type Outcome string

// The outcomes. Records have the first three; Retrying is read from a cursor.
const (
	Delivered Outcome = "delivered"
	Rejected  Outcome = "rejected" // by the receiver, and kept
	Skipped   Outcome = "skipped"  // by hand
	Retrying  Outcome = "retrying" // it failed, and will be tried again
)

// Place is where an event is in its partition's log. Index counts from 0.
type Place struct {
	Segment uint64
	Index   int
}

// Before reports whether p comes before other in the log.
func (p Place) Before(other Place) bool { return p.compare(other) < 0 }

func (p Place) compare(other Place) int {
	return cmp.Or(cmp.Compare(p.Segment, other.Segment), cmp.Compare(p.Index, other.Index))
}

// Result is what became of one event in one integration.
type Result struct {
	Place
	Outcome  Outcome
	Attempts int
	First    int64  // when the first attempt began, in ms since 1970; 0 if it is not known
	Last     int64  // when the last one began
	Took     int64  // how long the last one took, in ms
	Status   int    // of the response to the last one; 0 if there was none
	Cause    string // why it was not delivered, "" if it was
}

// File is a file in a bucket. It has every event after From, up to To, that passes the filter.
type File struct {
	Key      string
	From, To handoff.Offset
	Filter   event.Filter
	Attempts int
	First    int64 // as of a Result
	Last     int64
	Took     int64
	Status   int
}

// span returns the place that the file begins with, and the one before which it ends.
func (f *File) span() (from, to Place) {
	return Place{f.From.Segment + 1, f.From.Index}, Place{f.To.Segment + 1, f.To.Index}
}

// has reports whether an event at a place is in the file.
func (f *File) has(p Place, ev *event.Event) bool {
	from, to := f.span()
	return !p.Before(from) && p.Before(to) && f.Filter.Pass(ev)
}

// Part is what one integration has in a record: results or a file.
type Part struct {
	Integration string
	Incarnation uint64
	Results     []Result // in the order of their places
	File        *File    // nil for none
}

// Record is a delivery record. Data has its parts.
type Record struct {
	Partition   event.Partition
	Integration string    // that has caught up; "" for live delivery, of one or several
	At          time.Time // of the commit. The store moves it on so that each record of a Partition and an Integration has its own
	Expires     time.Time // from then on the store may delete it
	First, Last uint64    // no event of its parts is in a segment before or after these
	Data        []byte
}

// Query asks for the records of a partition and an integration, "" for those of live
// delivery, in the order of their At.
type Query struct {
	Partition    event.Partition
	Integration  string
	From, Before time.Time // At is at or after From and before Before; zero for no bound
	Through      uint64    // Last is at least this
	Within       uint64    // First is at most this; 0 for no bound
	Oldest       bool      // the oldest first; else the newest
	Limit        int
}
