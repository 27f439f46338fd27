package httpapi

import (
	"net/http"

	"github.com/sluicehq/sluice/internal/integration"
)

// latest, as from, is the end of the log.
const latest = "latest"

// start takes a body where one is sent: clients of this API's predecessor send none, with
// any Content-Type.
func (a *api) start(x *exchange, r *http.Request) error {
	body, err := readBody(x, r, maxDocumentBytes)
	if err != nil {
		return err
	}
	var from integration.Place
	if len(body) > 0 && string(body) != "null" { // clients that send a body with every POST send null
		if from, err = a.placeIn(x, r, body); err != nil {
			return err
		}
	}
	in, err := a.Integrations.StartFrom(r.Context(), x.tenant, r.PathValue("integration_id"), from)
	return a.respondWith(x, r, in, err)
}

func (a *api) placeIn(x *exchange, r *http.Request, body []byte) (integration.Place, error) {
	var d struct {
		From *string `json:"from"`
	}
	if _, err := mediaType(r, mediaJSON); err != nil {
		return integration.Place{}, err
	}
	if err := a.decodeBody(x, body, &d); err != nil {
		return integration.Place{}, err
	}
	if text(d.From) == latest {
		return integration.Place{Latest: true}, nil
	}
	at, err := timestamp("from", d.From)
	return integration.Place{At: at}, err
}
