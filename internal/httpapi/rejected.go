package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/usertext"
)

type rejectedDocument struct {
	ID        string             `json:"id"`
	CreatedAt string             `json:"created_at"`
	Name      *string            `json:"event_name"`
	Reason    integration.Reason `json:"reason"`
	Status    *int               `json:"status_code"`
}

func rejectedDocumentOf(ref integration.RejectedRef) rejectedDocument {
	d := rejectedDocument{ID: ref.EventID, CreatedAt: event.FormatTime(ref.CreatedAt), Reason: cmp.Or(ref.Reason, integration.ReasonRejected)}
	if ref.Name != "" {
		d.Name = &ref.Name
	}
	if ref.Status != 0 {
		d.Status = &ref.Status
	}
	return d
}

func (a *api) rejectedEvents(x *exchange, r *http.Request) error {
	p, err := pageOf(r)
	if err != nil {
		return err
	}
	refs, end, err := a.rejectedPage(r.Context(), x.tenant, r.PathValue("integration_id"), p)
	if err != nil {
		return err
	}
	documents := make([]rejectedDocument, len(refs))
	for i, ref := range refs {
		documents[i] = rejectedDocumentOf(ref)
	}
	a.respond(x, http.StatusOK, struct {
		RejectedEvents []rejectedDocument `json:"rejected_events"`
		Next           **string           `json:"next,omitzero"`
	}{documents, p.next(end)})
	return nil
}

// rejectedPage returns a page of the list, newest first, and where it ends; all of the list
// if no page is asked for. Events join and leave the list between two pages.
func (a *api) rejectedPage(ctx context.Context, tenant, id string, p page) (shown []integration.RejectedRef, end string, err error) {
	if !p.given {
		shown, err = a.Rejected.List(ctx, tenant, id, integration.RejectedRef{}, 0)
		return shown, "", err
	}
	after, err := refOf(p.after)
	if err != nil {
		return nil, "", err
	}
	shown, err = a.Rejected.List(ctx, tenant, id, after, p.limit+1)
	if err != nil || len(shown) <= p.limit {
		return shown, "", err
	}
	last := shown[p.limit-1]
	return shown[:p.limit], fmt.Sprintf("%d %s", last.CreatedAt.UnixNano(), last.EventID), nil
}

// refOf returns the event that a page ended with; the zero one for "".
func refOf(end string) (integration.RejectedRef, error) {
	if end == "" {
		return integration.RejectedRef{}, nil
	}
	nanos, id, _ := strings.Cut(end, " ")
	n, err := strconv.ParseInt(nanos, 10, 64)
	if err != nil || !event.ValidID(id) {
		return integration.RejectedRef{}, store.ErrPlace
	}
	return integration.RejectedRef{EventID: id, CreatedAt: time.Unix(0, n).UTC()}, nil
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
