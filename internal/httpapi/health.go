package httpapi

import (
	"net/http"

	"github.com/sluicehq/sluice/internal/health"
	"github.com/sluicehq/sluice/internal/problem"
)

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
