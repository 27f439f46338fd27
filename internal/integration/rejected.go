package integration

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/event"
)

// Reason is why an event is in the list of rejected events.
type Reason string

// The reasons.
const (
	ReasonRejected Reason = "rejected" // the receiver returned 400
	ReasonSkipped  Reason = "skipped"  // it was skipped by hand
)

// Rejected is an event that the receiver rejected with a 400, or that was skipped.
type Rejected struct {
	Event event.Event
	// CreatedAt is when it was rejected, or skipped. It never changes, as the list is
	// sorted by it.
	CreatedAt time.Time
	Reason    Reason // zero: ReasonRejected
	Status    int    // HTTP status code of the last attempt before it was rejected, 0 if there is none
	Attempts  int    // calls made so far
	// RetryUntil is the lease of a manual retry in progress.
	RetryUntil time.Time
	Version    uint64 // of the record, for compare-and-set
}

// Ref returns the event as the list has it.
func (r *Rejected) Ref() RejectedRef {
	return RejectedRef{EventID: r.Event.ID, CreatedAt: r.CreatedAt, Name: r.Event.Name, Reason: r.Reason, Status: r.Status}
}

// RejectedRef is an event in the list of an integration's rejected ones.
type RejectedRef struct {
	EventID   string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	Name      string    `json:"name,omitzero"`   // of the event; unknown in older lists
	Reason    Reason    `json:"reason,omitzero"` // zero: ReasonRejected
	Status    int       `json:"status,omitzero"` // HTTP status code of the last attempt, 0 if there is none
}

// Compare sorts refs as the list does: by time, then by id.
func (r RejectedRef) Compare(other RejectedRef) int {
	return cmp.Or(r.CreatedAt.Compare(other.CreatedAt), strings.Compare(r.EventID, other.EventID))
}

// RejectedCount counts the list of an integration's rejected events. A commit that adds an
// event to the list or removes one changes it too, so that concurrent rejections cannot
// exceed the limit.
type RejectedCount struct {
	Kept   int       `json:"kept"`            // events in the list
	Newest time.Time `json:"newest,omitzero"` // CreatedAt of the last event that was added
	// Older are events that an earlier release listed in this record, oldest first; they are
	// older than all others. A store that has none never sets it.
	Older   []RejectedRef `json:"-"`
	Version uint64        `json:"-"` // of the record, for compare-and-set
}

// Add counts an event that is added now, and returns its CreatedAt: a time that is later
// than that of every other in the list, though the clock may stand still.
func (c *RejectedCount) Add(now time.Time) time.Time {
	c.Kept++
	if c.Newest = c.Newest.Add(1); now.After(c.Newest) {
		c.Newest = now
	}
	return c.Newest
}

// Remove counts an event that leaves the list.
func (c *RejectedCount) Remove(eventID string) {
	c.Kept--
	c.Older = slices.DeleteFunc(c.Older, func(r RejectedRef) bool { return r.EventID == eventID })
}
