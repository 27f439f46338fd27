package httpapi

import "net/http"

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
		Oldest: timeGiven(e.OldestAvailable), First: timeGiven(e.First), Last: timeGiven(e.Last),
	}
	if e.Duration > 0 {
		out.Seconds = new(e.Seconds())
	}
	a.respond(x, http.StatusOK, out)
	return nil
}
