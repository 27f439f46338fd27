package httpapi_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/sluicehq/sluice/internal/problem"
)

func TestLogPages(t *testing.T) {
	w := setup()
	w.want(t, 200, post(base, webhook))
	for range 3 {
		w.want(t, 200, post(base+"/hook/_stop", ""))
		w.want(t, 200, post(base+"/hook/_start", ""))
	}
	var page struct {
		Entries []struct{ Action string }
		Next    *string
	}
	get1 := func(query string) {
		t.Helper()
		page.Next = nil
		if err := json.Unmarshal([]byte(w.want(t, 200, get(base+"/hook/logs?"+query))), &page); err != nil {
			t.Fatal(err)
		}
	}
	total := 0
	for get1("limit=3"); ; get1("limit=3&after=" + *page.Next) {
		if total += len(page.Entries); page.Next == nil {
			break
		}
	}
	if total != 8 {
		t.Errorf("%d entries in all pages", total)
	}
	get1("action=integration_stopped&limit=2")
	if len(page.Entries) != 2 || page.Next == nil || page.Entries[0].Action != "integration_stopped" {
		t.Errorf("got %+v", page)
	}
	get1("action=event_skipped")
	if len(page.Entries) != 0 || page.Next != nil {
		t.Errorf("got %+v", page)
	}
	sameJSON(t, `{"entries":[],"next":null}`, w.want(t, 200, get(base+"/hook/logs?action=event_rejected")))

	for query, message := range map[string]string{
		"limit=0": "limit is", "limit=201": "limit is", "action=": "action is", "action=stopped": "action is", "after=eA": "after is not", "after=%20": "after is not",
	} {
		w.wantError(t, 400, problem.InvalidRequest, message, get(base+"/hook/logs?"+query))
	}
	w.wantError(t, 400, problem.UnknownParameter, fmt.Sprintf("%q", "before"), get(base+"/hook/logs?before=1"))
	w.wantError(t, 404, problem.NotFound, "", get(base+"/hook/logs?limit=1").as("evil"+all))
}
