package httpapi

import (
	"net/http"
	"strings"

	openapi "github.com/sluicehq/sluice/api"
	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/publish"
	"github.com/sluicehq/sluice/internal/usertext"
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

func (a *api) rejectedEvent(x *exchange, r *http.Request) error {
	id, err := eventID(r)
	if err != nil {
		return err
	}
	rejected, err := a.Rejected.Get(r.Context(), x.tenant, r.PathValue("integration_id"), id)
	if err != nil {
		return err
	}
	a.send(x, http.StatusOK, mediaJSON, rejected.Event.Body)
	return nil
}

func (a *api) deleteRejected(x *exchange, r *http.Request) error {
	id, err := eventID(r)
	if err != nil {
		return err
	}
	return a.done(x, a.Rejected.Delete(r.Context(), x.tenant, r.PathValue("integration_id"), id))
}

func (a *api) retryRejected(x *exchange, r *http.Request) error {
	id, err := eventID(r)
	if err != nil {
		return err
	}
	return a.done(x, a.Rejected.Retry(r.Context(), x.tenant, r.PathValue("integration_id"), id))
}

// eventID returns the path's event id in lower case, as ids are stored.
func eventID(r *http.Request) (string, error) {
	id := r.PathValue("event_id")
	if err := usertext.Check(id); err != nil {
		return "", problem.New(problem.NotFound, "Rejected event %q does not exist: the id %v.", clip(id), err)
	}
	id = strings.ToLower(id)
	if !event.ValidID(id) {
		return "", problem.New(problem.NotFound, "Rejected event %q does not exist; event ids are UUIDs.", clip(id))
	}
	return id, nil
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
