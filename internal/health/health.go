// Package health tells how an integration is doing: how far it is behind the log, and what it
// waits for. It computes that from the offsets that delivery keeps anyway, when it is
// asked; it stores nothing.
package health

import (
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
)

// State is an integration's state in one word.
type State string

// The states.
const (
	Healthy    State = "healthy"     // live, at the end of the log, or waiting for its next file
	CatchingUp State = "catching_up" // it reads the log on its own
	Failing    State = "failing"     // its receiver fails
	Stopped    State = "stopped"     // also while a stop takes effect
	Complete   State = "complete"    // of a replay
)

// Health is how an integration is doing at one moment.
type Health struct {
	State  State
	Reason integration.StopCause // why it is stopped; "" if it is not, or not known
	// DeliveredThrough: what the log has from before and at this time is acknowledged. Zero
	// if the log has nothing.
	DeliveredThrough time.Time
	Behind           Behind
	Failing          *Outage   // nil unless it is failing
	RestartBy        time.Time // when it is stopped: until then a start loses nothing
	LastDeliveredAt  time.Time // of the newest success; zero if it is not known
	Progress         *Progress // of a replay
}

// Behind is what the log has beyond an integration's offset, before its filter, without
// what is acknowledged already. It is zero at the end of the log.
type Behind struct {
	Events int
	Bytes  int64     // about
	Oldest time.Time // published_at of the first event; zero if there is none
}

// plus returns the sum of two lanes.
func (b Behind) plus(other Behind) Behind {
	b.Events += other.Events
	b.Bytes += other.Bytes
	if b.Oldest.IsZero() || !other.Oldest.IsZero() && other.Oldest.Before(b.Oldest) {
		b.Oldest = other.Oldest
	}
	return b
}

// Outage is a row of failed attempts without a success between them.
type Outage struct {
	Since         time.Time
	Attempts      int
	NextAttemptAt time.Time
	EventID       string // of the event that waits; "" for a file, or if the log cannot tell
	EventName     string
	Status        int // of the last response; 0 if there was none
	Cause         string
	StopsAt       time.Time // when the integration is stopped unless an attempt succeeds; zero after a probe alone
}

// Progress is how far a replay is.
type Progress struct {
	Fraction float64 // of its time span, 0 to 1
	Tally    handoff.Tally
}
