package main

import (
	"net/http"
	"strings"
	"testing"
)

// A call that the service refuses is a failure of its command, which prints nothing else.
func TestCommandsFailWithTheirCalls(t *testing.T) {
	for _, args := range []string{
		"integrations list", "integrations get a", "integrations watch", "integrations watch a", "integrations logs a", "integrations logs a -f",
		"integrations events a", "integrations events a -f", "integrations skip a e", "integrations start a", "integrations start a --from latest",
		"integrations stop a", "integrations test a", "integrations estimate --id a", "integrations create --id a", "integrations update a --api-key x", "integrations delete a",
		"rejected list a", "rejected get a e", "rejected retry a e", "rejected retry a --all", "rejected delete a e", "rejected delete a --all",
	} {
		for _, asJSON := range []string{"", " --json"} {
			cli, _ := newCLI(t, func(int, call, http.Header) (int, any) { return 404, problemBody("not_found", "It is gone.") })
			code, stdout, stderr := cli.run(nil, strings.Fields(args+asJSON)...)
			if code != exitNotFound || stdout != "" || stderr != "sluice: not_found: It is gone. (request_id req-1)\n" {
				t.Errorf("sluice %s%s: exit code %d, %q, %q", args, asJSON, code, stdout, stderr)
			}
		}
	}
}

// A place that a script has lost is not the place where the integration stands: the service
// is to refuse it.
func TestStartFromNowhereIsSent(t *testing.T) {
	cli, calls := newCLI(t, func(int, call, http.Header) (int, any) { return 400, problemBody("invalid_request", "from is empty.") })
	if code, _, _ := cli.run(nil, "integrations", "start", "a", "--from", ""); code != exitInvalid || (*calls)[0].body != `{"from":""}` {
		t.Errorf("exit code %d, %+v", code, *calls)
	}
}

// A service that gets nowhere is not called for ever.
func TestRetryOfAllWithoutProgressEnds(t *testing.T) {
	cli, calls := newCLI(t, func(_ int, c call, _ http.Header) (int, any) {
		if c.method == http.MethodGet {
			return 200, rejectedOf(c, []string{"e"})
		}
		return 200, object{"delivered": []any{}, "failed": []any{}, "remaining": 1}
	})
	code, stdout, stderr := cli.run(nil, "rejected", "retry", "a", "--all")
	if code != exitFailure || stdout != "" || len(*calls) != 2 || !strings.Contains(stderr, "has retried nothing; try again later") {
		t.Errorf("exit code %d after %d calls, %q, %q", code, len(*calls), stdout, stderr)
	}
}

// An error counts for more than what the receiver refused before it.
func TestRetryOfAllFailsWithTheServiceAfterTheReceiver(t *testing.T) {
	cli, _ := newCLI(t, func(n int, c call, _ http.Header) (int, any) {
		switch {
		case c.method == http.MethodGet:
			return 200, rejectedOf(c, []string{"f", "e"})
		case n == 2:
			return 200, object{"delivered": []any{}, "failed": []any{object{"id": "e", "cause": "gone"}}, "remaining": 1}
		}
		return 503, problemBody("unavailable", "Later.")
	})
	code, stdout, stderr := cli.run(nil, "rejected", "retry", "a", "--all")
	if code != exitUnavailable || !strings.HasPrefix(stdout, "e failed: gone\n") || !strings.Contains(stderr, "Later.") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

func TestDeletionOfAllAsJSON(t *testing.T) {
	cli, _ := newCLI(t, func(int, call, http.Header) (int, any) {
		return 200, object{"delivered": []any{}, "deleted": []any{"e"}, "failed": []any{}, "remaining": 0}
	})
	code, stdout, _ := cli.run(nil, "rejected", "delete", "a", "--all", "--json")
	if want := "{\n  \"delivered\": [],\n  \"deleted\": [\n    \"e\"\n  ],\n  \"failed\": [],\n  \"remaining\": 0\n}\n"; code != exitOK || stdout != want {
		t.Errorf("exit code %d, %q", code, stdout)
	}
}
