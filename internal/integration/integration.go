// Package integration defines the Integration, the rules for registering and
// updating one, its states, and the entries of its log.
package integration

import (
	"fmt"
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

// Status is the state of an integration, as the API shows it.
type Status string

// The states. Stopping lasts until nothing that read an earlier state can still
// send events.
const (
	Running  Status = "running"
	Stopping Status = "stopping"
	Stopped  Status = "stopped"
)

// StopCause is why an integration was stopped.
type StopCause string

// The causes of a stop.
const (
	StoppedByAPI        StopCause = "stopped_by_api"
	StoppedAfterFailing StopCause = "stopped_after_failing" // its receiver failed for too long
)

// Integration is one customer's registration, as stored. Secrets in it are
// sealed. Exactly one of Webhook and S3 is set.
type Integration struct {
	Tenant   string       `json:"tenant"`
	ID       string       `json:"id"`
	Type     Type         `json:"type"`
	StartsAt time.Time    `json:"starts_at,omitzero"` // zero: from registration on
	EndsAt   time.Time    `json:"ends_at,omitzero"`   // zero: permanent
	Webhook  *Webhook     `json:"webhook,omitzero"`
	S3       *S3          `json:"s3,omitzero"`
	Filter   event.Filter `json:"filter,omitzero"` // names and entities only; EventFilter adds the times

	// MovedTo is the time to which a start has moved the offset: no event published before it
	// is delivered. Zero if none has.
	MovedTo time.Time `json:"moved_to,omitzero"`

	Running bool      `json:"running"`
	QuietAt time.Time `json:"quiet_at,omitzero"` // after a stop: nothing is sent for it from then on

	// Generation increases with every registration, start, stop and update, and
	// is never reused in a tenant. A subscriber, cursor or worker with another
	// generation is stale.
	Generation uint64 `json:"generation"`
	// Incarnation is the generation at registration. Log entries and rejected
	// events are stored under it, so an integration never sees those of a deleted
	// one with the same id.
	Incarnation uint64 `json:"incarnation"`

	// Unreachable, unless nil, says why the latest probe of the target failed.
	Unreachable *Unreachable `json:"unreachable,omitzero"`
	// Alerts is what the operator's tenant was told last.
	Alerts Alerts `json:"alerts,omitzero"`
	// OldestWaiting is when the first event was published that waited at the latest stop, or an
	// earlier time. Zero if none waited, if the stop was of an earlier release, and after a start.
	OldestWaiting time.Time `json:"oldest_waiting,omitzero"`

	Lanes       int       `json:"lanes"`                 // how many cursors it has
	OpenLanes   int       `json:"open_lanes"`            // of a replay: lanes not yet read to the end
	Counted     bool      `json:"counted,omitzero"`      // of a replay: its events were counted from the first on
	CreatedAt   time.Time `json:"created_at"`            //
	StoppedAt   time.Time `json:"stopped_at,omitzero"`   // of the latest stop
	StoppedBy   StopCause `json:"stopped_by,omitzero"`   // of the latest stop; "" if it was of an earlier release, or completed a replay
	CompletedAt time.Time `json:"completed_at,omitzero"` // of a replay; zero until it has finished
	Version     uint64    `json:"-"`                     // of the record, for compare-and-set
}

// Unreachable is a probe of a target that failed. A delivery after it makes it outdated.
type Unreachable struct {
	At     time.Time `json:"at"`
	Cause  string    `json:"cause"`            // for people, without a full stop; never a secret
	Status int       `json:"status,omitempty"` // of the response; 0 if there was none
}

// Webhook is the target of a webhook integration.
type Webhook struct {
	URL    string        `json:"url"`
	APIKey secret.Sealed `json:"api_key,omitzero"`

	SigningSecret   secret.Sealed `json:"signing_secret,omitzero"`
	PreviousSecret  secret.Sealed `json:"previous_secret,omitzero"` // also signs, until PreviousExpires
	PreviousExpires time.Time     `json:"previous_expires,omitzero"`
}

// S3 is the target of an S3 integration: the customer's bucket.
type S3 struct {
	AccessKeyID     string        `json:"access_key_id"`
	SecretAccessKey secret.Sealed `json:"secret_access_key"`
	Region          string        `json:"region"`
	Bucket          string        `json:"bucket"`
	KeyPrefix       string        `json:"key_prefix,omitzero"` // without slashes at its ends
	Endpoint        string        `json:"endpoint,omitzero"`   // of an S3-compatible store
}

// Values of secret.Owner.Field: the names that secrets are sealed under. SecretOwner
// returns the rest of an Owner.
const (
	FieldAPIKey          = "api_key"
	FieldSigningSecret   = "signing_secret"
	FieldSecretAccessKey = "aws_secret_access_key"
)

// StatusAt returns the status that clients see at the given time.
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

// QuietNotBefore extends QuietAt for a call that began at the given time and may
// take as long as longest. The zero time changes nothing.
func (i *Integration) QuietNotBefore(begun time.Time, longest time.Duration) {
	if quiet := begun.Add(longest); !begun.IsZero() && quiet.After(i.QuietAt) {
		i.QuietAt = quiet
	}
}

// FinishLane records that a replay has read one of its lanes to the end. On the
// last lane it stops the integration and reports true.
func (i *Integration) FinishLane(now time.Time) (complete bool) {
	if i.OpenLanes--; i.OpenLanes > 0 {
		return false
	}
	i.Running, i.StoppedAt, i.StoppedBy, i.CompletedAt = false, now, "", now
	i.QuietNotBefore(now, 0)
	return true
}

// RestartBy returns until when a start of a stopped integration loses nothing. A start goes on
// where the integration stands for as long as the retention after the stop, and what waited
// at the stop is in the log until it is as old as kept.
func (i *Integration) RestartBy(retention, kept time.Duration) time.Time {
	by := i.StoppedAt.Add(retention)
	if gone := i.OldestWaiting.Add(kept); !i.OldestWaiting.IsZero() && gone.Before(by) {
		return gone
	}
	return by
}

// EventFilter returns the complete filter: the integration's names and entities
// plus its time span.
func (i *Integration) EventFilter() event.Filter {
	f := i.Filter
	f.From, f.Until = i.StartsAt, i.EndsAt
	if !i.MovedTo.IsZero() {
		f.From = i.MovedTo
	}
	return f
}

// BornAt returns the time from which on it gets events.
func (i *Integration) BornAt() time.Time {
	if !i.StartsAt.IsZero() {
		return i.StartsAt
	}
	return i.CreatedAt
}

// ReceivesFrom returns the time from which on it gets events: that of its last move, or of
// its birth.
func (i *Integration) ReceivesFrom() time.Time {
	if !i.MovedTo.IsZero() {
		return i.MovedTo
	}
	return i.BornAt()
}

// Place is where a start begins in the log: where the integration stands, if zero.
type Place struct {
	Latest bool      // at the end of the log
	At     time.Time // with the events published then or later
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
	ActionRejectedDeleted Action = "rejected_event_deleted"
	ActionRejectedEvicted Action = "rejected_event_evicted"
	ActionEventsSkipped   Action = "events_skipped"
	ActionRecovered       Action = "delivery_recovered"
	ActionUnreachable     Action = "target_unreachable"
	ActionEventSkipped    Action = "event_skipped"
	ActionPositionMoved   Action = "position_moved"
)

// Actions returns every action, in the order of the documentation.
func Actions() []string {
	return []string{
		"integration_created", "integration_started", "integration_stopped", "integration_updated",
		"retry_triggered", "delivery_recovered", "event_rejected", "rejected_event_retried",
		"rejected_event_deleted", "rejected_event_evicted", "events_skipped", "event_skipped", "position_moved", "target_unreachable",
	}
}

// LogEntry is one line of an integration's log. Reason is a sentence for people
// and never contains a secret.
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

// About writes how long something took, for people, in its two largest units: "3 h
// 4 min", "2 d", "8 s", "0.4 s".
func About(d time.Duration) string {
	if d < time.Second {
		return strconv.FormatFloat(d.Round(100*time.Millisecond).Seconds(), 'f', -1, 64) + " s"
	}
	units := []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, " d"}, {time.Hour, " h"}, {time.Minute, " min"}, {time.Second, " s"}}
	for i, unit := range units {
		n := d / unit.of
		if n == 0 {
			continue
		}
		text := strconv.Itoa(int(n)) + unit.name
		if i+1 < len(units) {
			if rest := d % unit.of / units[i+1].of; rest > 0 {
				text += " " + strconv.Itoa(int(rest)) + units[i+1].name
			}
		}
		return text
	}
	return ""
}
