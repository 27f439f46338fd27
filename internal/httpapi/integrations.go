package httpapi

import (
	"net/http"

	"github.com/go-json-experiment/json"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/strictjson"
)

func (a *api) register(x *exchange, r *http.Request) error {
	spec, err := a.registration(x, r)
	if err != nil {
		return err
	}
	in, err := a.Integrations.Register(r.Context(), x.tenant, spec)
	return a.respondWith(x, r, in, err)
}

// registration returns the body of a registration.
func (a *api) registration(x *exchange, r *http.Request) (integration.Spec, error) {
	var d document
	if _, err := a.decode(x, r, &d, mediaJSON); err != nil {
		return integration.Spec{}, err
	}
	if d.Status != nil {
		return integration.Spec{}, problem.New(problem.InvalidRequest, "status cannot be set: an integration starts when it is registered. Omit it.")
	}
	return d.spec()
}

func (a *api) get(x *exchange, r *http.Request) error {
	in, err := a.Integrations.Get(r.Context(), x.tenant, r.PathValue("integration_id"))
	return a.respondWith(x, r, in, err)
}

func (a *api) update(x *exchange, r *http.Request) error {
	// Decode only to report faults by their place in the body. The merged
	// document has no places, and the merge drops an unknown field that is null.
	patch, err := a.decode(x, r, new(document), mediaJSON, mediaMergePatch)
	if err != nil {
		return err
	}
	in, err := a.Integrations.Update(r.Context(), x.tenant, r.PathValue("integration_id"),
		func(current *integration.Integration) (integration.Spec, error) { return a.merge(current, patch) })
	return a.respondWith(x, r, in, err)
}

// merge applies a JSON merge patch (RFC 7396) to the integration's document with
// masked secrets, and returns the resulting Spec.
func (a *api) merge(current *integration.Integration, patch []byte) (integration.Spec, error) {
	before := a.masked(current)
	text, err := json.Marshal(before)
	if err != nil {
		return integration.Spec{}, err
	}
	if text, err = jsonpatch.MergePatch(text, patch); err != nil {
		return integration.Spec{}, err
	}
	var after document
	if err := strictjson.Decode(text, &after); err != nil {
		return integration.Spec{}, err
	}
	// Clients may send back a whole earlier response, with the status of that time.
	if after.Status == nil || !validStatus(*after.Status) {
		return integration.Spec{}, problem.New(problem.InvalidRequest,
			"status is read-only and, if sent back, must be running, stopping or stopped; omit it and use _start and _stop.")
	}
	return after.spec()
}

func validStatus(s string) bool {
	switch integration.Status(s) {
	case integration.Running, integration.Stopping, integration.Stopped:
		return true
	default:
		return false
	}
}

func (a *api) remove(x *exchange, r *http.Request) error {
	return a.done(x, a.Integrations.Delete(r.Context(), x.tenant, r.PathValue("integration_id")))
}

func (a *api) stop(x *exchange, r *http.Request) error {
	in, err := a.Integrations.Stop(r.Context(), x.tenant, r.PathValue("integration_id"))
	return a.respondWith(x, r, in, err)
}

// decode decodes the body into d, a pointer to a struct, and returns the raw body.
func (a *api) decode(x *exchange, r *http.Request, d any, accepted ...string) ([]byte, error) {
	if _, err := mediaType(r, accepted...); err != nil {
		return nil, err
	}
	body, err := readBody(x, r, maxDocumentBytes)
	if err != nil {
		return nil, err
	}
	return body, a.decodeBody(x, body, d)
}

// decodeBody decodes a body that was read.
func (a *api) decodeBody(x *exchange, body []byte, d any) error {
	if !x.memory.Grow(documentMemory * int64(len(body))) {
		return errNoMemory
	}
	return strictjson.Decode(body, d)
}

// respondWith responds with an integration, or returns err.
func (a *api) respondWith(x *exchange, r *http.Request, in *integration.Integration, err error) error {
	if err != nil {
		return err
	}
	d, err := a.shown(r.Context(), in)
	if err != nil {
		return err
	}
	a.respond(x, http.StatusOK, d)
	return nil
}

// done responds with an empty object, or returns err.
func (a *api) done(x *exchange, err error) error {
	if err != nil {
		return err
	}
	a.respond(x, http.StatusOK, empty{})
	return nil
}
