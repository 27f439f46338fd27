package httpapi

import (
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/story"
)

// chapterDocument is what became of an event for one integration. What is not known is null.
type chapterDocument struct {
	ID       string        `json:"id"`
	Verdict  story.Verdict `json:"verdict"`
	Because  string        `json:"because"`
	Delivery *struct{}     `json:"delivery"`
}

func (a *api) story(x *exchange, r *http.Request) error {
	q, err := storyQuery(r.URL.Query())
	if err != nil {
		return err
	}
	told, err := a.Stories.Tell(r.Context(), x.tenant, r.PathValue("event_id"), q)
	if err != nil {
		return err
	}
	chapters := make([]chapterDocument, len(told.Integrations))
	for i, c := range told.Integrations {
		chapters[i] = chapterDocument{ID: c.ID, Verdict: c.Verdict, Because: c.Because}
	}
	list, err := json.Marshal(chapters)
	if err != nil {
		panic(err) // our own types always encode; end recovers
	}
	a.send(x, http.StatusOK, mediaJSON, []byte(`{"event":`), told.Event.Body, []byte(`,"integrations":`), list, []byte(`}`))
	return nil
}

// storyQuery reads the times that say when an event was published.
func storyQuery(values url.Values) (q story.Query, err error) {
	for _, p := range []struct {
		name string
		at   *time.Time
	}{{"published_at", &q.PublishedAt}, {"from", &q.From}, {"to", &q.To}} {
		if !values.Has(p.name) {
			continue
		}
		if *p.at, err = event.ParseTime(values.Get(p.name)); err != nil {
			return q, problem.New(problem.InvalidRequest, "%s is %q; it must be an RFC 3339 time such as 2019-01-17T12:00:00.000Z.", p.name, clip(values.Get(p.name)))
		}
	}
	return q, nil
}
