package httpapi

import (
	"net/http"
	"strings"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
)

func (a *api) skip(x *exchange, r *http.Request) error {
	var d struct {
		EventID *string `json:"event_id"`
	}
	if _, err := a.decode(x, r, &d, mediaJSON); err != nil {
		return err
	}
	id := strings.ToLower(text(d.EventID)) // as ids are stored
	switch {
	case id == "":
		return problem.New(problem.InvalidRequest, "event_id is missing; name the event to skip. The integration's health names the event that it waits for.")
	case !event.ValidID(id):
		return problem.New(problem.InvalidRequest, "event_id is %q, which is not a UUID.", clip(id))
	}
	if err := a.Skips.Skip(r.Context(), x.tenant, r.PathValue("integration_id"), id); err != nil {
		return err
	}
	a.respond(x, http.StatusOK, struct {
		Skipped string `json:"skipped"`
	}{id})
	return nil
}
