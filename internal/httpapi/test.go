package httpapi

import (
	"bytes"
	"net/http"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/trial"
)

// outcomes are the results of a test, as the API names them.
var outcomes = map[sink.Outcome]string{sink.Delivered: "delivered", sink.Rejected: "rejected", sink.Retry: "failed"}

// resultDocument is the result of a test. What is not known is null.
type resultDocument struct {
	Outcome string  `json:"outcome"`
	Status  *int    `json:"status_code"`
	Cause   *string `json:"cause"`
	TookMs  int64   `json:"took_ms"`
}

func (a *api) test(x *exchange, r *http.Request) error {
	var d struct {
		Name *string `json:"event_name"`
	}
	body, err := readBody(x, r, maxDocumentBytes)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(body)) > 0 { // it is optional
		if _, err := mediaType(r, mediaJSON); err != nil {
			return err
		}
		if err := a.decodeBody(x, body, &d); err != nil {
			return err
		}
	}
	if d.Name != nil && *d.Name == "" {
		return problem.New(problem.InvalidRequest, "event_name is empty; omit it for %s.", trial.DefaultName)
	}
	result, err := a.Tests.Test(r.Context(), x.tenant, r.PathValue("integration_id"), text(d.Name))
	if err != nil {
		return err
	}
	out := resultDocument{Outcome: outcomes[result.Outcome], Cause: given(result.Cause), TookMs: result.Took.Milliseconds()}
	if result.Status != 0 {
		out.Status = &result.Status
	}
	a.respond(x, http.StatusOK, out)
	return nil
}
