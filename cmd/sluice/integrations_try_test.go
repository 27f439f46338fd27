package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestTestSaysWhatBecameOfTheEvent(t *testing.T) {
	for _, c := range []struct {
		result      object
		code        int
		out, errors string
	}{
		{object{"outcome": "delivered", "status_code": 204, "cause": nil, "took_ms": 12}, exitOK, "The test event was delivered after 12 ms, HTTP status 204.\n", ""},
		{object{"outcome": "delivered", "status_code": 200, "cause": "the file x is left", "took_ms": 12}, exitOK, "The test event was delivered after 12 ms, HTTP status 200: the file x is left.\n", ""},
		{object{"outcome": "rejected", "status_code": 400, "cause": "bad request", "took_ms": 3}, exitFailure, "", "sluice: The test event was rejected after 3 ms, HTTP status 400: bad request\n"},
		{object{"outcome": "failed", "status_code": nil, "cause": "no response within 10s", "took_ms": 10000}, exitFailure, "", "sluice: The test event was not delivered after 10000 ms: no response within 10s\n"},
	} {
		cli, calls := newCLI(t, func(int, call, http.Header) (int, any) { return http.StatusOK, c.result })
		code, out, errs := cli.run(nil, "integrations", "test", "shop", "--event-name", "order.created")
		if code != c.code || out != c.out || errs != c.errors {
			t.Errorf("exit code %d, %q, %q; want %d, %q, %q", code, out, errs, c.code, c.out, c.errors)
		}
		if got := (*calls)[0]; got.path != "/api/v1/org/integrations/eventstream/shop/_test" || got.body != `{"event_name":"order.created"}` {
			t.Errorf("%+v", got)
		}
		code, out, _ = cli.run(nil, "integrations", "test", "shop", "--json")
		var result object
		if err := json.Unmarshal([]byte(out), &result); code != c.code || err != nil || result["outcome"] != c.result["outcome"] || !strings.Contains((*calls)[1].body, "{}") {
			t.Errorf("exit code %d, %q, %v", code, out, err)
		}
	}
}
