package httpapi

import (
	"net/http"

	openapi "github.com/sluicehq/sluice/api"
	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/publish"
)

type idDocument struct {
	ID string `json:"id"`
}

func (a *api) publish(x *exchange, r *http.Request) error {
	media, err := mediaType(r, mediaJSON, mediaNDJSON)
	if err != nil {
		return err
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	body, err := readBody(x, r, a.Settings.MaxPublishBytes)
	if err != nil {
		return err
	}
	if !x.memory.Grow(int64(cap(body)) + publish.Weight(body, a.Settings.MaxPublishEvents)) {
		return errNoMemory
	}
	call := publish.Call{Tenant: x.tenant, AnyTenant: x.anyTenant, Format: publish.JSON, Body: body, Key: key}
	if media == mediaNDJSON {
		call.Format = publish.NDJSON
	}
	ids, err := a.Publisher.Publish(r.Context(), call)
	x.memory.Release()                            // a caller who is slow to read the answer does not hold it
	if problem.CodeOf(err) == problem.Forbidden { // an event names another tenant
		challengeScope(x, auth.TenantsAny)
	}
	if err != nil {
		return err
	}
	documents := make([]idDocument, len(ids))
	for i, id := range ids {
		documents[i].ID = id
	}
	a.respond(x, http.StatusAccepted, struct {
		Events []idDocument `json:"events"`
	}{documents})
	return nil
}

func (a *api) health(x *exchange, _ *http.Request) error {
	return a.done(x, nil)
}

func (a *api) readiness(x *exchange, r *http.Request) error {
	err := a.Ready(r.Context())
	if err != nil && problem.CodeOf(err) != problem.Unavailable {
		err = problem.Wrap(err, problem.Unavailable, "The service is not ready; try again.")
	}
	return a.done(x, err)
}

func (a *api) metrics(x *exchange, r *http.Request) error {
	a.Metrics.ServeHTTP(x, r)
	return nil
}

func (a *api) contract(x *exchange, _ *http.Request) error {
	a.send(x, http.StatusOK, "application/yaml", openapi.OpenAPI)
	return nil
}
