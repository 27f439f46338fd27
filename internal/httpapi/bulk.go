package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/rejected"
)

// bulkDocument is what became of the rejected events that a call named.
type bulkDocument struct {
	Delivered []string              `json:"delivered"`
	Deleted   []string              `json:"deleted,omitzero"`
	Failed    []bulkFailureDocument `json:"failed"`
	Remaining int                   `json:"remaining"`
}

type bulkFailureDocument struct {
	ID    string `json:"id"`
	Cause string `json:"cause"`
}

func bulkDocumentOf(b rejected.Bulk) bulkDocument {
	d := bulkDocument{Delivered: []string{}, Failed: make([]bulkFailureDocument, len(b.Failed)), Remaining: b.Remaining}
	for i, f := range b.Failed {
		d.Failed[i] = bulkFailureDocument{f.EventID, f.Cause}
	}
	return d
}

func (a *api) retryAll(x *exchange, r *http.Request) error {
	b, err := a.bulk(x, r, a.Rejected.RetryAll)
	if err != nil {
		return err
	}
	d := bulkDocumentOf(b)
	d.Delivered = append(d.Delivered, b.Done...)
	a.respond(x, http.StatusOK, d)
	return nil
}

func (a *api) deleteAll(x *exchange, r *http.Request) error {
	b, err := a.bulk(x, r, a.Rejected.DeleteAll)
	if err != nil {
		return err
	}
	d := bulkDocumentOf(b)
	d.Deleted = append([]string{}, b.Done...)
	a.respond(x, http.StatusOK, d)
	return nil
}

func (a *api) bulk(x *exchange, r *http.Request, do func(ctx context.Context, tenant, id string, eventIDs []string) (rejected.Bulk, error)) (rejected.Bulk, error) {
	var d struct {
		EventIDs []*string `json:"event_ids"`
		All      *bool     `json:"all"`
	}
	if _, err := a.decode(x, r, &d, mediaJSON); err != nil {
		return rejected.Bulk{}, err
	}
	all := d.All != nil && *d.All
	switch {
	case all && d.EventIDs != nil:
		return rejected.Bulk{}, problem.New(problem.InvalidRequest, "event_ids and all exclude each other; send one of them.")
	case all:
		return do(r.Context(), x.tenant, r.PathValue("integration_id"), nil)
	case len(d.EventIDs) == 0:
		return rejected.Bulk{}, problem.New(problem.InvalidRequest, `event_ids is missing or empty; name 1 to %d events, or send {"all": true}.`, rejected.MaxBulk)
	case len(d.EventIDs) > rejected.MaxBulk:
		return rejected.Bulk{}, problem.New(problem.InvalidRequest, "event_ids has %d events; a call takes at most %d.", len(d.EventIDs), rejected.MaxBulk)
	}
	ids := make([]string, len(d.EventIDs))
	for i, id := range d.EventIDs {
		ids[i] = strings.ToLower(text(id))
		if !event.ValidID(ids[i]) {
			return rejected.Bulk{}, problem.New(problem.InvalidRequest, "event_ids[%d] is %q, which is not a UUID.", i, clip(ids[i]))
		}
	}
	return do(r.Context(), x.tenant, r.PathValue("integration_id"), ids)
}
