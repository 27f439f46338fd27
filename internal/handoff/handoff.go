// Package handoff decides who delivers the events of an integration in a
// partition, so that at every moment it is exactly one of two: the follow
// loop, which has the integration on its roster, or a cursor, which is driven
// on its own. Join and Leave compute the two records for one transaction; the
// argument that no event lies between them is in docs/design.md.
package handoff

import (
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/event"
)

// Position is a place in a partition's log: every event of the segments up to
// and including Segment is through, and of the segment after it the first
// Index events.
type Offset struct {
	Segment uint64 `json:"segment"`
	Index   int    `json:"index"`
}

// Before reports whether the position lies before another.
func (p Offset) Before(q Offset) bool {
	return p.Segment < q.Segment || p.Segment == q.Segment && p.Index < q.Index
}

// Progress is a position and what is known of the events after it, in the
// order of the log: Through for an event that got through ahead of its turn,
// else the number of attempts made with it. What is not listed is untried.
type AckState struct {
	Offset Offset `json:"position"`
	Ahead  []int  `json:"ahead,omitzero"`
}

// Through in Progress.Ahead marks an event that is through.
const Acked = -1

// Mode says what the follow loop does for a follower.
type Mode string

const (
	// Deliver: the follow loop sends it every event.
	Deliver Mode = "deliver"
	// Wake: at the next event the follow loop makes it leave onto its cursor,
	// due after Follower.WakeDelay. It costs nothing while there are no events
	// and cannot hold up its neighbours.
	Wake Mode = "wake"
)

// Follower is an integration on the roster of a partition.
type Subscriber struct {
	ID         string        `json:"id"`
	Generation uint64        `json:"generation"`
	Mode       Mode          `json:"mode"`
	WakeDelay  time.Duration `json:"wake_delay,omitzero"`
	// From is the last segment it already has. It counts where the record's
	// Delivered is behind it.
	From     uint64    `json:"from"`
	JoinedAt time.Time `json:"joined_at"`
}

// Record is the small record of a partition. Every change of it is a
// compare-and-set on Version. Its zero value, with Version 0, is the record of
// a partition that nothing was published to yet.
type PartitionState struct {
	Partition    event.Partition `json:"-"`
	LowWatermark uint64          `json:"delivered"` // the last segment that every follower has
	Live         []Subscriber    `json:"followers,omitzero"`
	Version      uint64          `json:"-"`
}

// Find returns the follower with the given id, or nil.
func (r *PartitionState) Find(id string) *Subscriber {
	for i := range r.Live {
		if r.Live[i].ID == id {
			return &r.Live[i]
		}
	}
	return nil
}

// Start is the last segment that a follower already has.
func (r *PartitionState) AckedBy(f *Subscriber) uint64 { return max(r.LowWatermark, f.From) }

func (r *PartitionState) without(id string) []Subscriber {
	return slices.DeleteFunc(slices.Clone(r.Live), func(f Subscriber) bool { return f.ID == id })
}

// State says who moves a cursor on.
type State string

const (
	// Driven: somebody has to call Advance for it, from DueAt on.
	Scheduled State = "driven"
	// Following: the integration is on the roster; the position is stale. With
	// a DueAt it is taken back from the roster then (the end of a replay).
	Live State = "following"
	// Parked: the integration is stopped.
	Paused State = "parked"
	// Finished: a replay has read this lane to its end.
	Finished State = "finished"
)

// Key names a cursor.
type Key struct {
	Tenant      string
	Integration string
	Lane        int
}

// Partition is the partition the cursor reads.
func (k Key) Partition() event.Partition { return event.Partition{Tenant: k.Tenant, Lane: k.Lane} }

// Cursor is an integration's own place in a partition. Every change of it is a
// compare-and-set on Version.
type Cursor struct {
	Key        Key    `json:"-"`
	Generation uint64 `json:"generation"`
	State      State  `json:"state"`
	AckState
	// DueAt is when it is to be driven, zero for never. Whoever moves it
	// forward owns the cursor until then: it is the lease, the back-off and the
	// rhythm of exports in one, and what the sweep looks for.
	DueAt time.Time `json:"due_at,omitzero"`

	// Upload, unless nil, is a file of which it is not known whether it is stored.
	Upload *Upload `json:"upload,omitzero"`

	// LeftAt is when it last left the roster by itself: whoever served it there
	// may have calls under way for a while longer.
	LeftAt time.Time `json:"left_at,omitzero"`

	Failures     int       `json:"failures,omitzero"`      // failed attempts since the last success
	FailingSince time.Time `json:"failing_since,omitzero"` // zero while it does not fail

	// An integration that left because it was slow joins in Mode Wake until
	// SlowUntil. Slowness counts how often that happened in a row and doubles
	// the pause.
	Slowness  int       `json:"slowness,omitzero"`
	SlowUntil time.Time `json:"slow_until,omitzero"`

	Version uint64 `json:"-"`
}
