package httpapi_test

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/problem"
)

func TestBulkCallsThatAreRefused(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	w.reject(t, "acme", "hook", uuidA)
	before := w.state(t, "acme")
	ids := func(n int) string {
		return `{"event_ids":[` + strings.TrimSuffix(strings.Repeat(`"`+uuidB+`",`, n), ",") + `]}`
	}
	for _, verb := range []string{"/_retry", "/_delete"} {
		path := base + "/hook/rejected_events" + verb
		for _, refused := range []struct {
			status  int
			code    problem.Code
			message string
			call    call
		}{
			{400, problem.InvalidRequest, "event_ids is missing or empty", post(path, `{}`)},
			{400, problem.InvalidRequest, "event_ids is missing or empty", post(path, `{"event_ids":[]}`)},
			{400, problem.InvalidRequest, "event_ids is missing or empty", post(path, `{"all":false}`)},
			{400, problem.InvalidRequest, "exclude each other", post(path, `{"all":true,"event_ids":["`+uuidA+`"]}`)},
			{400, problem.InvalidRequest, "event_ids has 101 events; a call takes at most 100", post(path, ids(101))},
			{400, problem.InvalidRequest, `event_ids[1] is "7"`, post(path, `{"event_ids":["`+uuidA+`","7"]}`)},
			{400, problem.InvalidRequest, `event_ids[0] is ""`, post(path, `{"event_ids":[null]}`)},
			{400, problem.UnknownField, "ids is not a known field", post(path, `{"ids":["`+uuidA+`"]}`)},
			{404, problem.NotFound, `"other"`, post(base+"/other/rejected_events"+verb, `{"all":true}`)},
			{404, problem.NotFound, `"hook"`, post(path, `{"all":true}`).as("beta" + all)},
			{403, problem.Forbidden, "", post(path, `{"all":true}`).as("acme:integrations/read")},
		} {
			w.wantError(t, refused.status, refused.code, refused.message, refused.call)
		}
	}
	if after := w.state(t, "acme"); after != before {
		t.Errorf("refused, and changed to %s", after)
	}
	w.want(t, 200, post(base+"/hook/rejected_events/_delete", ids(100)))
}

func TestDeletionOfSeveralRejectedEvents(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	w.reject(t, "acme", "hook", uuidA)
	path := base + "/hook/rejected_events/_delete"
	sameJSON(t, `{"delivered":[],"deleted":["`+uuidA+`"],"failed":[{"id":"`+uuidB+`","cause":"not_found"}],"remaining":0}`,
		w.want(t, 200, post(path, `{"event_ids":["`+strings.ToUpper(uuidA)+`","`+uuidB+`"]}`)))
	sameJSON(t, `{"delivered":[],"deleted":[],"failed":[],"remaining":0}`, w.want(t, 200, post(path, `{"all":true}`)))
	sameJSON(t, `{"delivered":[],"failed":[{"id":"`+uuidA+`","cause":"not_found"}],"remaining":0}`,
		w.want(t, 200, post(base+"/hook/rejected_events/_retry", `{"event_ids":["`+uuidA+`"]}`)))
}
