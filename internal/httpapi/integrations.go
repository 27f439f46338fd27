package httpapi

import (
	"net/http"

	"github.com/go-json-experiment/json"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/strictjson"
)

func (a *api) list(w http.ResponseWriter, r *http.Request, tenant string) error {
	all, err := a.Integrations.List(r.Context(), tenant)
	if err != nil {
		return err
	}
	documents := make([]document, len(all))
	for i, in := range all {
		if documents[i], err = a.shown(r.Context(), in); err != nil {
			return err
		}
	}
	a.answer(w, http.StatusOK, struct {
		Integrations []document `json:"integrations"`
	}{documents})
	return nil
}

func (a *api) register(w http.ResponseWriter, r *http.Request, tenant string) error {
	var d document
	if _, err := a.decode(w, r, &d, mediaJSON); err != nil {
		return err
	}
	if d.Status != nil {
		return problem.New(problem.InvalidRequest, "status cannot be given: an integration starts as it is registered. Leave it out.")
	}
	spec, err := d.spec()
	if err != nil {
		return err
	}
	in, err := a.Integrations.Register(r.Context(), tenant, spec)
	return a.answerWith(w, r, in, err)
}

func (a *api) get(w http.ResponseWriter, r *http.Request, tenant string) error {
	in, err := a.Integrations.Get(r.Context(), tenant, r.PathValue("integration_id"))
	return a.answerWith(w, r, in, err)
}

func (a *api) update(w http.ResponseWriter, r *http.Request, tenant string) error {
	// Decoded for its faults alone: in the merged document they would have no
	// place in the body, and an unknown field that is null would be gone.
	patch, err := a.decode(w, r, new(document), mediaJSON, mediaMergePatch)
	if err != nil {
		return err
	}
	in, err := a.Integrations.Update(r.Context(), tenant, r.PathValue("integration_id"),
		func(current *integration.Integration) (integration.Spec, error) { return a.merge(current, patch) })
	return a.answerWith(w, r, in, err)
}

// merge applies a JSON merge patch (RFC 7396) to the document of the
// integration, as a GET shows it, and returns the Spec that comes out.
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
	// Clients send back all of an earlier answer, whose status may be another.
	if after.Status == nil || !validStatus(*after.Status) {
		return integration.Spec{}, problem.New(problem.InvalidRequest,
			"status is read-only, and must be running, stopping or stopped where it is sent back; leave it out, and use _start and _stop.")
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

func (a *api) remove(w http.ResponseWriter, r *http.Request, tenant string) error {
	return a.done(w, a.Integrations.Delete(r.Context(), tenant, r.PathValue("integration_id")))
}

func (a *api) start(w http.ResponseWriter, r *http.Request, tenant string) error {
	in, err := a.Integrations.Start(r.Context(), tenant, r.PathValue("integration_id"))
	return a.answerWith(w, r, in, err)
}

func (a *api) stop(w http.ResponseWriter, r *http.Request, tenant string) error {
	in, err := a.Integrations.Stop(r.Context(), tenant, r.PathValue("integration_id"))
	return a.answerWith(w, r, in, err)
}

type entryDocument struct {
	Action    integration.Action `json:"action"`
	Reason    string             `json:"reason"`
	CreatedAt string             `json:"created_at"`
}

func (a *api) entries(w http.ResponseWriter, r *http.Request, tenant string) error {
	entries, err := a.Integrations.Entries(r.Context(), tenant, r.PathValue("integration_id"))
	if err != nil {
		return err
	}
	documents := make([]entryDocument, len(entries))
	for i, e := range entries {
		documents[i] = entryDocument{e.Action, e.Reason, event.FormatTime(e.CreatedAt)}
	}
	a.answer(w, http.StatusOK, struct {
		Entries []entryDocument `json:"entries"`
	}{documents})
	return nil
}

// decode reads the body into d and returns it as it was sent.
func (a *api) decode(w http.ResponseWriter, r *http.Request, d *document, accepted ...string) ([]byte, error) {
	if _, err := mediaType(r, accepted...); err != nil {
		return nil, err
	}
	body, err := readBody(w, r, maxDocumentBytes)
	if err != nil {
		return nil, err
	}
	return body, strictjson.Decode(body, d)
}

// answerWith answers with the integration that a call returned.
func (a *api) answerWith(w http.ResponseWriter, r *http.Request, in *integration.Integration, err error) error {
	if err != nil {
		return err
	}
	d, err := a.shown(r.Context(), in)
	if err != nil {
		return err
	}
	a.answer(w, http.StatusOK, d)
	return nil
}

// done answers for a call that returned nothing but perhaps an error.
func (a *api) done(w http.ResponseWriter, err error) error {
	if err != nil {
		return err
	}
	a.answer(w, http.StatusOK, empty{})
	return nil
}
