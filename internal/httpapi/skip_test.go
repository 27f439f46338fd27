package httpapi_test

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
)

func TestSkip(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, strings.Replace(webhook, "order.created", "order.paid", 1)))
	w.want(t, 200, post(base, bucket))
	w.want(t, 202, post(events, `{"events":[{"id":"`+uuidA+`","name":"order.paid","payload":{}},{"id":"`+uuidB+`","name":"order.paid","payload":{}}]}`))
	w.fail(t, "hook", 3)
	skips, body := base+"/hook/_skip", `{"event_id":"`+uuidA+`"}`
	before := w.state(t, "acme")
	for _, refused := range []struct {
		status  int
		code    problem.Code
		message string
		call    call
	}{
		{400, problem.InvalidRequest, "event_id is missing", post(skips, `{}`)},
		{400, problem.InvalidRequest, "event_id is missing", post(skips, `{"event_id":null}`)},
		{400, problem.InvalidRequest, `event_id is "7", which is not a UUID`, post(skips, `{"event_id":"7"}`)},
		{400, problem.InvalidRequest, "event_id", post(skips, `{"event_id":7}`)},
		{400, problem.UnknownField, "event_ids is not a known field", post(skips, `{"event_ids":["`+uuidA+`"]}`)},
		{400, problem.InvalidJSON, "", post(skips, ``)},
		{409, problem.NotBlocked, uuidB, post(skips, `{"event_id":"`+uuidB+`"}`)},
		{409, problem.NotBlocked, "writes files", post(base+"/bucket/_skip", body)},
		{404, problem.NotFound, `"other"`, post(base+"/other/_skip", body)},
		{404, problem.NotFound, `"hook"`, post(skips, body).as("beta" + all)},
		{403, problem.Forbidden, "", post(skips, body).as("acme:integrations/read,events/publish")},
	} {
		w.wantError(t, refused.status, refused.code, refused.message, refused.call)
	}
	if after := w.state(t, "acme"); after != before {
		t.Errorf("refused, and changed to %s", after)
	}
	sameJSON(t, `{"skipped":"`+uuidA+`"}`, w.want(t, 200, post(skips, strings.Replace(body, uuidA, strings.ToUpper(uuidA), 1))))
	w.wantError(t, 409, problem.NotBlocked, uuidA, post(skips, body))
	sameJSON(t, `{"rejected_events":[{"id":"`+uuidA+`","created_at":"2026-03-01T12:00:00.000Z","event_name":"order.paid","reason":"skipped","status_code":503}]}`,
		w.want(t, 200, get(base+"/hook/rejected_events")))
	if logs := w.want(t, 200, get(base+"/hook/logs")); !strings.Contains(logs, `"action":"event_skipped","reason":"Event `+uuidA+` (order.paid) was skipped via API after 3 failed attempts.`) {
		t.Errorf("the log is %s", logs)
	}
}

// The status of the last response belongs to the one event that was tried; with two of them
// nobody knows whose it is.
func TestSkippedEventHasTheStatusOfItsLastResponse(t *testing.T) {
	for want, attempts := range map[string][]int{`"status_code":503`: {handoff.Acked, 2}, `"status_code":null`: {1, 2}} {
		w := setup()
		w.want(t, 200, post(base, strings.Replace(webhook, "order.created", "order.paid", 1)))
		w.want(t, 202, post(events, `{"events":[{"id":"`+uuidA+`","name":"order.paid","payload":{}},{"id":"`+uuidB+`","name":"order.paid","payload":{}}]}`))
		w.fail(t, "hook", attempts...)
		w.want(t, 200, post(base+"/hook/_skip", `{"event_id":"`+uuidB+`"}`))
		if list := w.want(t, 200, get(base+"/hook/rejected_events")); !strings.Contains(list, uuidB) || !strings.Contains(list, want) {
			t.Errorf("tried %v times: %s, want %s", attempts, list, want)
		}
	}
}
