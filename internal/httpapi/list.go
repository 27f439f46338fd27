package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/health"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
)

// listedDocument is an integration in a list, with what is asked for.
type listedDocument struct {
	document

	Health   *health.Document   `json:"health,omitzero"`
	Activity **activityDocument `json:"activity,omitzero"` // nil: not asked for; of nil: null
}

// activityDocument is a deliveries.Activity in the API's JSON.
type activityDocument struct {
	Since    string         `json:"since"`
	Hours    []hourDocument `json:"hours"`
	Complete bool           `json:"complete"`
}

type hourDocument struct {
	Delivered int `json:"delivered"`
	Rejected  int `json:"rejected"`
	Failed    int `json:"failed"`
}

// activityDocumentOf returns the document of an activity, nil if that is nil.
func activityDocumentOf(a *deliveries.Activity) *activityDocument {
	if a == nil {
		return nil
	}
	d := &activityDocument{Since: event.FormatTime(a.Since), Hours: make([]hourDocument, len(a.Hours)), Complete: a.Complete}
	for i, h := range a.Hours {
		d.Hours[i] = hourDocument(h)
	}
	return d
}

func (a *api) list(x *exchange, r *http.Request) error {
	asked, err := included(r)
	if err != nil {
		return err
	}
	all, err := a.Integrations.List(r.Context(), x.tenant)
	if err != nil {
		return err
	}
	documents, err := a.listed(r.Context(), x.tenant, all, asked)
	if err != nil {
		return err
	}
	a.respond(x, http.StatusOK, struct {
		Integrations []listedDocument `json:"integrations"`
	}{documents})
	return nil
}

// listed returns the documents of integrations, without those that were deleted meanwhile.
func (a *api) listed(ctx context.Context, tenant string, all []*integration.Integration, asked inclusion) (documents []listedDocument, err error) {
	var healths []*health.Health
	if asked.health {
		if healths, err = a.Health.Of(ctx, all...); err != nil {
			return nil, err
		}
	}
	var activities []*deliveries.Activity
	if asked.activity {
		if activities, err = a.Deliveries.Activity(ctx, tenant, all); err != nil {
			return nil, err
		}
	}
	documents = []listedDocument{}
	for i, in := range all {
		var d listedDocument
		if asked.health {
			if d.Health = health.DocumentOf(healths[i]); d.Health == nil {
				continue // deleted meanwhile
			}
		}
		if asked.activity {
			d.Activity = new(activityDocumentOf(activities[i]))
		}
		if d.document, err = a.shown(ctx, in); err != nil {
			return nil, err
		}
		documents = append(documents, d)
	}
	return documents, nil
}

// inclusion is what a list is to have of each integration besides its own fields.
type inclusion struct{ health, activity bool }

// included reads the parameter include: words with commas between them, each once.
func included(r *http.Request) (asked inclusion, err error) {
	query := r.URL.Query()
	if !query.Has("include") {
		return asked, nil
	}
	words := strings.Split(query.Get("include"), ",")
	for i, word := range words {
		switch {
		case slices.Contains(words[:i], word):
			return asked, wrongInclude(query.Get("include"))
		case word == "health":
			asked.health = true
		case word == "activity":
			asked.activity = true
		default:
			return asked, wrongInclude(query.Get("include"))
		}
	}
	return asked, nil
}

func wrongInclude(value string) error {
	return problem.New(problem.InvalidRequest, "include is %q; it must be health, activity or health,activity, or be omitted.", clip(value))
}
