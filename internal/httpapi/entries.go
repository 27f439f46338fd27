package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/lifecycle"
	"github.com/sluicehq/sluice/internal/problem"
)

type entryDocument struct {
	Action    integration.Action `json:"action"`
	Reason    string             `json:"reason"`
	CreatedAt string             `json:"created_at"`
}

func (a *api) entries(x *exchange, r *http.Request) error {
	p, err := pageOf(r, "action")
	if err != nil {
		return err
	}
	q := lifecycle.EntryQuery{After: p.after, Limit: p.limit}
	if query := r.URL.Query(); query.Has("action") {
		action, actions := query.Get("action"), integration.Actions()
		if !slices.Contains(actions, action) {
			return problem.New(problem.InvalidRequest, "action is %q; it must be one of %s.", clip(action), strings.Join(actions, ", "))
		}
		q.Action = integration.Action(action)
	}
	entries, next, err := a.Integrations.EntriesAfter(r.Context(), x.tenant, r.PathValue("integration_id"), q)
	if err != nil {
		return err
	}
	documents := make([]entryDocument, len(entries))
	for i, e := range entries {
		documents[i] = entryDocument{e.Action, e.Reason, event.FormatTime(e.CreatedAt)}
	}
	a.respond(x, http.StatusOK, struct {
		Entries []entryDocument `json:"entries"`
		Next    **string        `json:"next,omitzero"`
	}{documents, p.next(next)})
	return nil
}
