package httpapi

import (
	"net/http"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/health"
)

// troubleDocument is an alert.Trouble in the API's JSON.
type troubleDocument struct {
	Tenant string           `json:"tenant"`
	ID     string           `json:"id"`
	Since  string           `json:"since"`
	Alerts []string         `json:"alerts"` // the names of their events
	Health *health.Document `json:"health"`
}

func (a *api) troubles(x *exchange, r *http.Request) error {
	if err := operatorOnly(x, "What is in trouble over all tenants is the operator's to see."); err != nil {
		return err
	}
	p, err := pageOf(r)
	if err != nil {
		return err
	}
	p.given = true // there is always a next
	found, end, err := a.Troubles.List(r.Context(), p.after, p.limit)
	if err != nil {
		return err
	}
	documents := make([]troubleDocument, len(found))
	for i, t := range found {
		d := troubleDocument{t.Tenant, t.ID, event.FormatTime(t.Since), []string{}, health.DocumentOf(t.Health)}
		for _, kind := range t.Alerts {
			d.Alerts = append(d.Alerts, kind.EventName())
		}
		documents[i] = d
	}
	a.respond(x, http.StatusOK, struct {
		Integrations []troubleDocument `json:"integrations"`
		Next         **string          `json:"next"`
	}{documents, p.next(end)})
	return nil
}
