package httpapi

import (
	"net/http"

	"github.com/sluicehq/sluice/internal/health"
	"github.com/sluicehq/sluice/internal/problem"
)

// listedDocument is an integration in a list, with its health if that is asked for.
type listedDocument struct {
	document

	Health *health.Document `json:"health,omitzero"`
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
	a.respond(x, http.StatusOK, health.DocumentOf(found[0]))
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
