package main

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEstimateIsPrinted(t *testing.T) {
	sampled := object{"events": 1200.0, "bytes": 34000.0, "oldest_available": "2026-01-01T00:00:00.000Z", "first_at": "2026-01-17T00:00:01.000Z", "last_at": nil, "exact": false, "seconds": 90.0}
	exact := object{"events": 0.0, "bytes": 0.0, "oldest_available": nil, "first_at": nil, "last_at": "2026-01-18T00:00:00.000Z", "exact": true, "seconds": nil}
	for _, c := range []struct {
		response object
		want     string
	}{
		{sampled, "events       1200 (estimated)\nbytes        34000\nfirst        2026-01-17T00:00:01.000Z\nlog begins   2026-01-01T00:00:00.000Z\ntakes about  1m30s\n"},
		{exact, "events  0 (exact)\nbytes   0\nlast    2026-01-18T00:00:00.000Z\n"},
	} {
		cli, calls := newCLI(t, func(int, call, http.Header) (int, any) { return http.StatusOK, c.response })
		args := []string{"integrations", "estimate", "--id", "a", "--type", "permanent", "--starts-at", "2026-01-17T00:00:00Z"}
		if code, out, errs := cli.run(nil, args...); code != exitOK || out != c.want {
			t.Errorf("exit code %d, %q, %q", code, out, errs)
		}
		got := (*calls)[0]
		if len(*calls) != 1 || got.method != "POST" || got.path != "/api/v1/org/integrations/eventstream/_estimate" || got.body != `{"id":"a","integration_type":"permanent","starts_at":"2026-01-17T00:00:00Z"}` {
			t.Errorf("%+v", *calls)
		}
		code, out, _ := cli.run(nil, append(args, "--json")...)
		var printed object
		if err := json.Unmarshal([]byte(out), &printed); code != exitOK || err != nil {
			t.Errorf("exit code %d, %v, %q", code, err, out)
		}
		if diff := cmp.Diff(c.response, printed); diff != "" {
			t.Error(diff)
		}
	}
}

func TestEstimateThatIsRefused(t *testing.T) {
	cli, _ := newCLI(t, func(int, call, http.Header) (int, any) {
		return 400, problemBody("invalid_request", "starts_at is wrong.")
	})
	if code, out, _ := cli.run(nil, "integrations", "estimate", "--id", "a"); code != exitInvalid || out != "" {
		t.Errorf("exit code %d, %q", code, out)
	}
}
