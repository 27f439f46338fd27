package httpapi

import (
	"net/http"
	"strings"

	openapi "github.com/sluicehq/sluice/api"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/publish"
	"github.com/sluicehq/sluice/internal/usertext"
)

type idDocument struct {
	ID string `json:"id"`
}

func (a *api) publish(w http.ResponseWriter, r *http.Request, tenant string) error {
	media, err := mediaType(r, mediaJSON, mediaNDJSON)
	if err != nil {
		return err
	}
	body, err := readBody(w, r, a.Settings.MaxPublishBytes)
	if err != nil {
		return err
	}
	format := publish.JSON
	if media == mediaNDJSON {
		format = publish.NDJSON
	}
	ids, err := a.Publisher.Publish(r.Context(), tenant, format, body)
	if err != nil {
		return err
	}
	documents := make([]idDocument, len(ids))
	for i, id := range ids {
		documents[i].ID = id
	}
	a.answer(w, http.StatusAccepted, struct {
		Events []idDocument `json:"events"`
	}{documents})
	return nil
}

type rejectedDocument struct {
	ID        string `json:"id"`
	CreatedAt string `json:"created_at"`
}

func (a *api) rejectedEvents(w http.ResponseWriter, r *http.Request, tenant string) error {
	entries, err := a.Rejected.List(r.Context(), tenant, r.PathValue("integration_id"))
	if err != nil {
		return err
	}
	documents := make([]rejectedDocument, len(entries))
	for i, e := range entries {
		documents[i] = rejectedDocument{e.EventID, event.FormatTime(e.CreatedAt)}
	}
	a.answer(w, http.StatusOK, struct {
		RejectedEvents []rejectedDocument `json:"rejected_events"`
	}{documents})
	return nil
}

func (a *api) rejectedEvent(w http.ResponseWriter, r *http.Request, tenant string) error {
	id, err := eventID(r)
	if err != nil {
		return err
	}
	rejected, err := a.Rejected.Get(r.Context(), tenant, r.PathValue("integration_id"), id)
	if err != nil {
		return err
	}
	a.send(w, http.StatusOK, mediaJSON, rejected.Event.Body)
	return nil
}

func (a *api) deleteRejected(w http.ResponseWriter, r *http.Request, tenant string) error {
	id, err := eventID(r)
	if err != nil {
		return err
	}
	return a.done(w, a.Rejected.Delete(r.Context(), tenant, r.PathValue("integration_id"), id))
}

func (a *api) retryRejected(w http.ResponseWriter, r *http.Request, tenant string) error {
	id, err := eventID(r)
	if err != nil {
		return err
	}
	return a.done(w, a.Rejected.Retry(r.Context(), tenant, r.PathValue("integration_id"), id))
}

// eventID returns the event id of the path as ids are kept: in lower case.
func eventID(r *http.Request) (string, error) {
	id := r.PathValue("event_id")
	if err := usertext.Check(id); err != nil {
		return "", problem.New(problem.NotFound, "There is no rejected event %q: the id %v.", clip(id), err)
	}
	id = strings.ToLower(id)
	if !event.ValidID(id) {
		return "", problem.New(problem.NotFound, "There is no rejected event %q; ids of events are UUIDs.", clip(id))
	}
	return id, nil
}

func (a *api) health(w http.ResponseWriter, _ *http.Request, _ string) error {
	return a.done(w, nil)
}

func (a *api) readiness(w http.ResponseWriter, r *http.Request, _ string) error {
	err := a.Ready(r.Context())
	if err != nil && problem.CodeOf(err) != problem.Unavailable {
		err = problem.Wrap(err, problem.Unavailable, "The service cannot take calls at the moment.")
	}
	return a.done(w, err)
}

func (a *api) metrics(w http.ResponseWriter, r *http.Request, _ string) error {
	a.Metrics.ServeHTTP(w, r)
	return nil
}

func (a *api) contract(w http.ResponseWriter, _ *http.Request, _ string) error {
	a.send(w, http.StatusOK, "application/yaml", openapi.OpenAPI)
	return nil
}
