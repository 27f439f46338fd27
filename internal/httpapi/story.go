package httpapi

import (
	"net/http"
	"net/url"

	"github.com/go-json-experiment/json"

	"github.com/sluicehq/sluice/internal/story"
)

// chapterDocument is what became of an event for one integration. What is not known is null.
type chapterDocument struct {
	ID       string            `json:"id"`
	Verdict  story.Verdict     `json:"verdict"`
	Because  string            `json:"because"`
	Delivery *deliveryDocument `json:"delivery"`
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
		if c.Delivery != nil {
			chapters[i].Delivery = new(deliveryDocumentOf(c.Delivery))
		}
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
	if q.PublishedAt, err = timeParameter(values, "published_at"); err != nil {
		return q, err
	}
	if q.From, err = timeParameter(values, "from"); err != nil {
		return q, err
	}
	q.To, err = timeParameter(values, "to")
	return q, err
}
