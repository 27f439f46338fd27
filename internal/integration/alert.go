package integration

import "time"

// AlertKind is a change of an integration that the operator's tenant is told of.
type AlertKind string

// The kinds of alerts.
const (
	AlertFailing       AlertKind = "failing"
	AlertRecovered     AlertKind = "recovered" // no longer failing or lagging
	AlertStopped       AlertKind = "stopped"
	AlertLagging       AlertKind = "lagging"
	AlertRejecting     AlertKind = "rejecting"
	AlertWindowClosing AlertKind = "restart_window_closing"
	AlertEventsSkipped AlertKind = "events_skipped"
)

// EventName returns the name of the event that an alert is published as.
func (k AlertKind) EventName() string { return "integration." + string(k) }

// Alerts is what the operator's tenant was told of an integration last. It is zero while
// nobody is told of anything.
type Alerts struct {
	Number uint64 `json:"number"` // of the latest alert, counted from 1

	// The lanes that it was told of, a bit each.
	Failing uint32 `json:"failing,omitzero"`
	Lagging uint32 `json:"lagging,omitzero"`

	RejectingAt time.Time `json:"rejecting_at,omitzero"` // since the latest start; zero if not
	// Closing is the number of the alert that waits until the restart window is about to
	// close; 0 for none.
	Closing uint64 `json:"closing,omitzero"`

	// Since is when it was told to be in trouble, zero if it is not: it is failing or lagging,
	// or was stopped as it had failed for too long. Whole milliseconds. Stores find
	// integrations by it.
	Since time.Time `json:"since,omitzero"`
}

// Trouble returns the worse of what was told last: AlertFailing, AlertLagging or "".
func (a *Alerts) Trouble() AlertKind {
	switch {
	case a.Failing != 0:
		return AlertFailing
	case a.Lagging != 0:
		return AlertLagging
	}
	return ""
}
