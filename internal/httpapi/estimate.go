package httpapi

import (
	"net/http"
	"time"

	"github.com/sluicehq/sluice/internal/event"
)

// estimateDocument is what a registration would replay. What is not known, or not there, is
// null.
type estimateDocument struct {
	Events  int64   `json:"events"`
	Bytes   int64   `json:"bytes"`
	Oldest  *string `json:"oldest_available"`
	First   *string `json:"first_at"`
	Last    *string `json:"last_at"`
	Exact   bool    `json:"exact"`
	Seconds *int64  `json:"seconds"`
}

func (a *api) estimate(x *exchange, r *http.Request) error {
	spec, err := a.registration(x, r)
	if err != nil {
		return err
	}
	e, err := a.Estimates.Estimate(r.Context(), x.tenant, spec)
	if err != nil {
		return err
	}
	out := estimateDocument{
		Events: e.Events, Bytes: e.Bytes, Exact: e.Exact,
		Oldest: optionalTime(e.OldestAvailable), First: optionalTime(e.First), Last: optionalTime(e.Last),
	}
	if e.Duration > 0 {
		out.Seconds = new(e.Seconds())
	}
	a.respond(x, http.StatusOK, out)
	return nil
}

// optionalTime returns nil for the zero time.
func optionalTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return new(event.FormatTime(t))
}
