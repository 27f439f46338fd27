package httpapi

import (
	"net/http"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/health"
	"github.com/sluicehq/sluice/internal/problem"
)

// healthDocument is a health.Health in the API's JSON. What does not apply is null.
type healthDocument struct {
	State            health.State      `json:"state"`
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

// listedDocument is an integration in a list, with its health if that is asked for.
type listedDocument struct {
	document

	Health *healthDocument `json:"health,omitzero"`
}

func (a *api) healthOf(x *exchange, r *http.Request) error {
	id := r.PathValue("integration_id")
	in, err := a.Integrations.Get(r.Context(), x.tenant, id)
	if err != nil {
		return err
	}
	found, err := a.Health.Of(r.Context(), in)
	if err != nil {
		return err
	}
	if found[0] == nil {
		return problem.New(problem.NotFound, "There is no integration %q.", id)
	}
	a.respond(x, http.StatusOK, healthDocumentOf(found[0]))
	return nil
}

// included reports whether a list is to have the health of each integration.
func included(r *http.Request) (bool, error) {
	query := r.URL.Query()
	if query.Has("include") && query.Get("include") != "health" {
		return false, problem.New(problem.InvalidRequest, "include is %q; it must be health, or be omitted.", clip(query.Get("include")))
	}
	return query.Has("include"), nil
}

// healthDocumentOf returns the document of h, nil if that is nil.
func healthDocumentOf(h *health.Health) *healthDocument {
	if h == nil {
		return nil
	}
	d := &healthDocument{
		State: h.State, Reason: given(string(h.Reason)), DeliveredThrough: timeGiven(h.DeliveredThrough),
		Behind:    behindDocument{h.Behind.Events, h.Behind.Bytes, timeGiven(h.Behind.Oldest)},
		RestartBy: timeGiven(h.RestartBy), LastDeliveredAt: timeGiven(h.LastDeliveredAt),
	}
	if o := h.Failing; o != nil {
		d.Failing = &outageDocument{
			Since: timeGiven(o.Since), Attempts: o.Attempts, NextAttemptAt: timeGiven(o.NextAttemptAt),
			EventID: given(o.EventID), EventName: given(o.EventName), Cause: o.Cause, StopsAt: timeGiven(o.StopsAt),
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

// timeGiven returns a time as text, nil for the zero time.
func timeGiven(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return new(event.FormatTime(t))
}
