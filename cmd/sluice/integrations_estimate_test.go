package main

import (
	"net/http"
	"strings"
	"testing"
)

func TestEstimateIsPrinted(t *testing.T) {
	answer := object{"events": 1200, "bytes": 34000, "oldest_available": "2026-01-01T00:00:00.000Z", "first_at": "2026-01-17T00:00:01.000Z", "last_at": nil, "exact": false, "seconds": 90}
	for _, args := range [][]string{{"estimate"}, {"create", "--estimate"}} {
		cli, calls := newCLI(t, func(int, call, http.Header) (int, any) { return http.StatusOK, answer })
		args = append(append([]string{"integrations"}, args...), "--id", "a", "--type", "permanent", "--starts-at", "2026-01-17T00:00:00Z")
		code, out, errs := cli.run(nil, args...)
		want := "events       1200 (estimated)\nbytes        34000\nfirst        2026-01-17T00:00:01.000Z\nlog begins   2026-01-01T00:00:00.000Z\ntakes about  1m30s\n"
		if code != exitOK || out != want {
			t.Errorf("%v: exit code %d, %q, %q", args, code, out, errs)
		}
		got := (*calls)[0]
		if len(*calls) != 1 || got.path != "/api/v1/org/integrations/eventstream/_estimate" || got.body != `{"id":"a","integration_type":"permanent","starts_at":"2026-01-17T00:00:00Z"}` {
			t.Errorf("%v: %+v", args, *calls)
		}
		if code, out, _ := cli.run(nil, append(args, "--json")...); code != exitOK || !strings.Contains(out, `"last_at": null`) {
			t.Errorf("exit code %d, %q", code, out)
		}
	}
}
