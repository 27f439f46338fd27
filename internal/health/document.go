package health

import (
	"time"

	"github.com/sluicehq/sluice/internal/event"
)

// Document is a Health in the API's JSON. What does not apply is null.
type Document struct {
	State            State             `json:"state"`
	Reason           *string           `json:"reason"`
	DeliveredThrough *string           `json:"delivered_through"`
	Behind           behindDocument    `json:"behind"`
	Failing          *outageDocument   `json:"failing"`
	RestartBy        *string           `json:"restart_by"`
	LastDeliveredAt  *string           `json:"last_delivered_at"`
	Progress         *progressDocument `json:"progress"`
}

type behindDocument struct {
	Events int     `json:"events"`
	Bytes  int64   `json:"bytes"`
	Oldest *string `json:"oldest_published_at"`
}

type outageDocument struct {
	Since         *string `json:"since"`
	Attempts      int     `json:"attempts"`
	NextAttemptAt *string `json:"next_attempt_at"`
	EventID       *string `json:"event_id"`
	EventName     *string `json:"event_name"`
	Status        *int    `json:"status_code"`
	Cause         string  `json:"cause"`
	StopsAt       *string `json:"stops_at"`
}

type progressDocument struct {
	Fraction  float64 `json:"fraction"`
	Read      int     `json:"read"`
	Filtered  int     `json:"filtered"`
	Delivered int     `json:"delivered"`
	Rejected  int     `json:"rejected"`
	Skipped   int     `json:"skipped"`
}

// DocumentOf returns the document of h, nil if that is nil.
func DocumentOf(h *Health) *Document {
	if h == nil {
		return nil
	}
	d := &Document{
		State: h.State, Reason: textOf(string(h.Reason)), DeliveredThrough: timeOf(h.DeliveredThrough),
		Behind:    behindDocument{h.Behind.Events, h.Behind.Bytes, timeOf(h.Behind.Oldest)},
		RestartBy: timeOf(h.RestartBy), LastDeliveredAt: timeOf(h.LastDeliveredAt),
	}
	if o := h.Failing; o != nil {
		d.Failing = &outageDocument{
			Since: timeOf(o.Since), Attempts: o.Attempts, NextAttemptAt: timeOf(o.NextAttemptAt),
			EventID: textOf(o.EventID), EventName: textOf(o.EventName), Cause: o.Cause, StopsAt: timeOf(o.StopsAt),
		}
		if o.Status != 0 {
			d.Failing.Status = &o.Status
		}
	}
	if p := h.Progress; p != nil {
		t := p.Tally
		d.Progress = &progressDocument{p.Fraction, t.Read(), t.Filtered, t.Delivered, t.Rejected, t.Skipped}
	}
	return d
}

// timeOf returns a time as text, nil for the zero time.
func timeOf(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return new(event.FormatTime(t))
}

// textOf returns a text, nil for "".
func textOf(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
