// Package handoff decides what delivers the events of an integration in a
// partition. It is always exactly one of two: live delivery, while the
// integration is in the partition's live set, or catch-up from the integration's
// own cursor. Join and Leave compute the new partition state and cursor, which
// the caller commits in one transaction; docs/design.md explains why no event is
// lost between the two.
package handoff

import (
	"slices"
	"time"

	"github.com/sluicehq/sluice/internal/event"
)

// Offset is a position in a partition's log: every event up to the end of Segment
// is acknowledged, and so are the first Index events of the next segment.
type Offset struct {
	Segment uint64 `json:"segment"`
	Index   int    `json:"index"`
}

// Before reports whether o is lower than other.
func (o Offset) Before(other Offset) bool {
	return o.Segment < other.Segment || o.Segment == other.Segment && o.Index < other.Index
}

// AckState is an offset and what is known of the events after it. Ahead has one
// element per event, in log order: Acked, or the number of failed attempts.
// Events beyond it are untried.
type AckState struct {
	Offset Offset `json:"position"`
	Ahead  []int  `json:"ahead,omitzero"`
	// FirstTries has, for each event in Ahead with failed attempts, in their order, when the
	// first one began, in ms since 1970; 0 if that is not known. It is shorter where an
	// earlier release has written it.
	FirstTries []int64 `json:"first_tries,omitzero"`
	Tally      Tally   `json:"tally,omitzero"`
}

// Tally is what became of the acknowledged events. It is saved with the offset that it
// belongs to, so that an event that is sent again after a crash counts once; one that was
// delivered live before the crash may count twice. Only replays have counts.
type Tally struct {
	Filtered    int       `json:"filtered,omitzero"`
	Delivered   int       `json:"delivered,omitzero"`
	Rejected    int       `json:"rejected,omitzero"`
	Skipped     int       `json:"skipped,omitzero"`      // by hand, or because they are damaged
	DeliveredAt time.Time `json:"delivered_at,omitzero"` // of the newest success; whole milliseconds
}

// Read returns how many events were read.
func (t Tally) Read() int { return t.Filtered + t.Delivered + t.Rejected + t.Skipped }

// Plus returns the sum of two lanes.
func (t Tally) Plus(other Tally) Tally {
	t.Filtered += other.Filtered
	t.Delivered += other.Delivered
	t.Rejected += other.Rejected
	t.Skipped += other.Skipped
	if other.DeliveredAt.After(t.DeliveredAt) {
		t.DeliveredAt = other.DeliveredAt
	}
	return t
}

// Acked in AckState.Ahead is an event that was acknowledged out of order.
const Acked = -1

// Beyond returns how many of the events after Offset.Segment are acknowledged.
func (a AckState) Beyond() int {
	n := a.Offset.Index
	for _, state := range a.Ahead {
		if state == Acked {
			n++
		}
	}
	return n
}

// StateOf returns what is known of an event, by its place after Offset.Segment, from 0: Acked,
// or the number of its failed attempts.
func (a AckState) StateOf(place int) int {
	switch ahead := place - a.Offset.Index; {
	case ahead < 0:
		return Acked
	case ahead < len(a.Ahead):
		return a.Ahead[ahead]
	}
	return 0
}

// Mode says what live delivery does for a subscriber.
type Mode string

const (
	// Deliver: send every event to it.
	Deliver Mode = "deliver"
	// Wake: at the next event, move it to its cursor, due after
	// Subscriber.WakeDelay. It costs nothing while there are no events and cannot
	// block other subscribers.
	Wake Mode = "wake"
)

// Subscriber is an integration in the live set of a partition.
type Subscriber struct {
	ID         string        `json:"id"`
	Generation uint64        `json:"generation"`
	Mode       Mode          `json:"mode"`
	WakeDelay  time.Duration `json:"wake_delay,omitzero"`
	// From is the last segment that was acknowledged when it joined. It matters
	// while PartitionState.LowWatermark is lower.
	From     uint64    `json:"from"`
	JoinedAt time.Time `json:"joined_at"`
	Tally    Tally     `json:"tally,omitzero"` // as of the last change of the low watermark
}

// PartitionState is the delivery state of a partition. Every write of it is a
// compare-and-set on Version. The zero value, with Version 0, is the state of a
// partition without any event.
type PartitionState struct {
	Partition    event.Partition `json:"-"`
	LowWatermark uint64          `json:"delivered"` // the last segment that every subscriber has acknowledged
	Live         []Subscriber    `json:"followers,omitzero"`
	Version      uint64          `json:"-"`
}

// Find returns the subscriber with the given id, or nil.
func (p *PartitionState) Find(id string) *Subscriber {
	for i := range p.Live {
		if p.Live[i].ID == id {
			return &p.Live[i]
		}
	}
	return nil
}

// AckedBy returns the last segment that is known to be acknowledged by a subscriber.
func (p *PartitionState) AckedBy(s *Subscriber) uint64 { return max(p.LowWatermark, s.From) }

// AckStateOf returns what is known of a subscriber without its worker.
func (p *PartitionState) AckStateOf(s *Subscriber) AckState {
	return AckState{Offset: Offset{Segment: p.AckedBy(s)}, Tally: s.Tally}
}

func (p *PartitionState) without(id string) []Subscriber {
	return slices.DeleteFunc(slices.Clone(p.Live), func(s Subscriber) bool { return s.ID == id })
}

// State says what advances a cursor.
type State string

const (
	// Scheduled: delivery.Engine.Advance must be called for it, from DueAt on.
	Scheduled State = "driven"
	// Live: the integration is in the live set, and the cursor's offset is stale.
	// If DueAt is set, Advance takes it out of the live set then (the end of a
	// replay).
	Live State = "following"
	// Paused: the integration is stopped.
	Paused State = "parked"
	// Finished: the replay is complete in this lane.
	Finished State = "finished"
)

// Key names a cursor.
type Key struct {
	Tenant      string
	Integration string
	Lane        int
}

// Partition returns the partition that the cursor reads.
func (k Key) Partition() event.Partition { return event.Partition{Tenant: k.Tenant, Lane: k.Lane} }

// Told is a set of conditions of a cursor that an operator was told of.
type Told uint8

// The members of Told.
const (
	ToldFailing Told = 1 << iota
	ToldLagging
)

// Cursor is an integration's own offset in a partition. Every write of it is a
// compare-and-set on Version.
type Cursor struct {
	Key        Key    `json:"-"`
	Generation uint64 `json:"generation"`
	State      State  `json:"state"`
	AckState
	// DueAt is when to advance it next, zero for never. The caller that moves it
	// forward owns the cursor until then: DueAt is the lease, the back-off and the
	// export interval in one, and what the sweep searches by.
	DueAt time.Time `json:"due_at,omitzero"`

	// Upload, unless nil, is a file that may or may not be stored.
	Upload *Upload `json:"upload,omitzero"`
	// UploadUntil is when a bucket can no longer store a file that was pending and
	// given up, zero if there is none.
	UploadUntil time.Time `json:"upload_until,omitzero"`

	// Skipped: events before the offset were skipped, as they could no longer be read, and the
	// integration's log has said so. It is never reset.
	Skipped bool `json:"skipped,omitzero"`

	// LeftAt is when its last owner lost it, other than by a stop: live delivery when it
	// left the live set, a step when an event was skipped. It is the time just before that
	// commit, however long the commit took.
	LeftAt time.Time `json:"left_at,omitzero"`

	// An outage is a row of failed attempts without a success between them.
	Failures     int       `json:"failures,omitzero"`      // how many
	FailingSince time.Time `json:"failing_since,omitzero"` // when the first one failed; zero unless it is failing
	Cause        string    `json:"cause,omitzero"`         // of the last one
	Status       int       `json:"status,omitzero"`        // of the response to the last one; 0 if there was none
	TriedAt      time.Time `json:"tried_at,omitzero"`      // when the last one began; whole milliseconds
	TookMS       int64     `json:"took_ms,omitzero"`       // how long the last one took

	// After it was evicted for being slow, it joins in Mode Wake until SlowUntil.
	// Slowness counts such evictions in a row; each one doubles the delay.
	Slowness  int       `json:"slowness,omitzero"`
	SlowUntil time.Time `json:"slow_until,omitzero"`

	// Lagging: what it delivers next is older than SLUICE_ALERT_LAG allows. It is looked at
	// only if there are alerts.
	Lagging bool `json:"lagging,omitzero"`
	// LagFrom: what was published before then counts as published then, as the integration
	// was started or recovered.
	LagFrom time.Time `json:"lag_from,omitzero"`
	// Told is what the operator's tenant was told last of this lane.
	Told Told `json:"told,omitzero"`

	Version uint64 `json:"-"`
}

// FailsFor reports whether the cursor has failed for a time without a success.
func (c *Cursor) FailsFor(at time.Time, after time.Duration) bool {
	return c.State == Scheduled && !c.FailingSince.IsZero() && at.Sub(c.FailingSince) >= after
}
