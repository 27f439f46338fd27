// Package integration has the Integration: the rules of its registration,
// update and life, and the entries of its log.
package integration

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/secret"
)

// Type says how long an integration lives.
type Type string

// The two types of an integration.
const (
	Permanent Type = "permanent" // until stopped or deleted
	Temporary Type = "temporary" // a replay of [StartsAt, EndsAt]
)

// Status is the state an integration is in, as the API shows it.
type Status string

// The states. Stopping lasts until no actor that read an earlier state can
// still emit anything.
const (
	Running  Status = "running"
	Stopping Status = "stopping"
	Stopped  Status = "stopped"
)

// Integration is one customer's registration, as stored. Secrets in it are
// sealed. Exactly one of Webhook and S3 is set.
type Integration struct {
	Tenant   string       `json:"tenant"`
	ID       string       `json:"id"`
	Type     Type         `json:"type"`
	StartsAt time.Time    `json:"starts_at,omitzero"` // zero: from its registration on
	EndsAt   time.Time    `json:"ends_at,omitzero"`   // zero: permanent
	Webhook  *Webhook     `json:"webhook,omitzero"`
	S3       *S3          `json:"s3,omitzero"`
	Filter   event.Filter `json:"filter,omitzero"` // names and entities; EventFilter adds the times

	Running bool      `json:"running"`
	QuietAt time.Time `json:"quiet_at,omitzero"` // after a stop: from then on nobody emits for it

	// Generation goes up with every start, stop, update and registration, and
	// is never used twice in a tenant. A roster entry, cursor or worker with
	// another generation belongs to an earlier life.
	Generation uint64 `json:"generation"`
	// Incarnation is the generation of the registration. Log entries and
	// rejected events are stored under it, so those of a deleted namesake are
	// never seen.
	Incarnation uint64 `json:"incarnation"`

	Lanes       int       `json:"lanes"`                 // how many cursors it has
	OpenLanes   int       `json:"open_lanes"`            // of a replay: lanes not yet read to the end
	CreatedAt   time.Time `json:"created_at"`            //
	StoppedAt   time.Time `json:"stopped_at,omitzero"`   // of the latest stop
	CompletedAt time.Time `json:"completed_at,omitzero"` // a replay that is through
	Version     uint64    `json:"-"`                     // of the record, for compare-and-set
}

// Webhook is where and how a webhook integration is called.
type Webhook struct {
	URL    string        `json:"url"`
	APIKey secret.Sealed `json:"api_key,omitzero"`

	SigningSecret   secret.Sealed `json:"signing_secret,omitzero"`
	PreviousSecret  secret.Sealed `json:"previous_secret,omitzero"` // signs too until PreviousExpires
	PreviousExpires time.Time     `json:"previous_expires,omitzero"`
}

// S3 is the customer's bucket.
type S3 struct {
	AccessKeyID     string        `json:"access_key_id"`
	SecretAccessKey secret.Sealed `json:"secret_access_key"`
	Region          string        `json:"region"`
	Bucket          string        `json:"bucket"`
	KeyPrefix       string        `json:"key_prefix,omitzero"` // without slashes at its ends
	Endpoint        string        `json:"endpoint,omitzero"`   // of an S3-compatible store
}

// Field names under which secrets are sealed: secret.Owner.Field.
const (
	FieldAPIKey          = "api_key"
	FieldSigningSecret   = "signing_secret"
	FieldSecretAccessKey = "aws_secret_access_key"
)

// StatusAt is the status that a client may read at the given time.
func (i *Integration) StatusAt(now time.Time) Status {
	switch {
	case i.Running:
		return Running
	case now.Before(i.QuietAt):
		return Stopping
	default:
		return Stopped
	}
}

// QuietNotBefore says that calls begun before the given time may go on for so
// long: the integration is stopping until then. The zero time says nothing.
func (i *Integration) QuietNotBefore(begun time.Time, longest time.Duration) {
	if quiet := begun.Add(longest); !begun.IsZero() && quiet.After(i.QuietAt) {
		i.QuietAt = quiet
	}
}

// FinishLane says that a replay has read one of its lanes to the end. With the
// last one it stops the integration and reports true.
func (i *Integration) FinishLane(now time.Time) (complete bool) {
	if i.OpenLanes--; i.OpenLanes > 0 {
		return false
	}
	i.Running, i.StoppedAt, i.CompletedAt = false, now, now
	i.QuietNotBefore(now, 0)
	return true
}

// EventFilter is the whole condition an event must meet: the integration's
// filter and its span of time.
func (i *Integration) EventFilter() event.Filter {
	f := i.Filter
	f.From, f.Until = i.StartsAt, i.EndsAt
	return f
}

// Action is the kind of a log entry.
type Action string

// The actions of the log.
const (
	ActionCreated         Action = "integration_created"
	ActionStarted         Action = "integration_started"
	ActionStopped         Action = "integration_stopped"
	ActionUpdated         Action = "integration_updated"
	ActionRetryTriggered  Action = "retry_triggered"
	ActionEventRejected   Action = "event_rejected"
	ActionRejectedRetried Action = "rejected_event_retried"
	ActionRejectedEvicted Action = "rejected_event_evicted"
	ActionEventsSkipped   Action = "events_skipped"
)

// LogEntry is one line of an integration's log. Reason is a sentence for
// people and never holds a secret.
type LogEntry struct {
	Action    Action    `json:"action"`
	Reason    string    `json:"reason"`
	CreatedAt time.Time `json:"created_at"`
}

// Span writes a duration for people: "30 days", "1 day", "36 hours", "90 s".
func Span(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		switch n := d / unit.of; {
		case d%unit.of != 0 || n == 0:
		case n == 1:
			return "1 " + unit.name
		default:
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
}

// Rejected is an event that the receiver refused with a 400.
type Rejected struct {
	Event     event.Event
	CreatedAt time.Time // when it was refused
	Attempts  int       // calls made with it so far
	// RetryUntil is the lease of a retry by hand that is under way.
	RetryUntil time.Time
	Version    uint64 // of the record, for compare-and-set
}

// RejectedIndex lists an integration's rejected events, oldest first. It is
// one small record, so that its limit holds under concurrent rejections.
type RejectedIndex struct {
	Entries []RejectedEntry
	Version uint64 // of the record, for compare-and-set
}

// Contains reports whether the event is in the list.
func (x *RejectedIndex) Contains(eventID string) bool {
	return slices.ContainsFunc(x.Entries, func(e RejectedEntry) bool { return e.EventID == eventID })
}

// Remove takes the event off the list, if it is there.
func (x *RejectedIndex) Remove(eventID string) {
	x.Entries = slices.DeleteFunc(x.Entries, func(e RejectedEntry) bool { return e.EventID == eventID })
}

// RejectedEntry is one line of the RejectedIndex.
type RejectedEntry struct {
	EventID   string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`
}
