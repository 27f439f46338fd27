package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A script that asks for JSON can read every error, and finds only results on standard
// output.
func TestErrorsAsJSON(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	refusing, _ := newCLI(t, func(_ int, c call, _ http.Header) (int, any) {
		switch c.method {
		case http.MethodPatch:
			return 400, problemBody("not_stopped", "Stop it first.")
		case http.MethodPost:
			return 200, object{"outcome": "failed", "status_code": 503, "cause": "down", "took_ms": 3}
		case http.MethodDelete:
			return 404, "no JSON of ours"
		}
		return 401, problemBody("unauthorized", "The token is not accepted.")
	})
	for _, c := range []struct {
		args string
		want failure
	}{
		{"integrations get a --json", failure{Code: "unauthorized", Message: "The token is not accepted.; set SLUICE_TOKEN or --token", RequestID: "req-1", ExitCode: exitUnauthorized}},
		{"integrations update a --json --api-key x", failure{Code: "not_stopped", Message: "Stop it first.; run: sluice integrations stop a --wait", RequestID: "req-1", ExitCode: exitInvalid}},
		{"integrations delete a --json", failure{Code: "failed", Message: "the response has HTTP status 404", ExitCode: exitFailure}},
		{"--json integrations list --url " + gone.URL, failure{Code: "invalid_command_line", Message: "unknown flag: --json", ExitCode: exitUsage}},
		{"integrations list --json --url " + gone.URL, failure{Code: "unreachable", Message: "cannot reach " + gone.URL, ExitCode: exitUnavailable}},
		{"integrations list --nope --json", failure{Code: "invalid_command_line", Message: "unknown flag: --nope", ExitCode: exitUsage}},
		{"integrations lst --json=true", failure{Code: "invalid_command_line", Message: "did you mean get or list or test?", ExitCode: exitUsage}},
		{"integrations create --json --file " + filepath.Join(t.TempDir(), "none"), failure{Code: "failed", Message: "cannot read the input", ExitCode: exitFailure}},
		{"integrations create --json --file -", failure{Code: "invalid_input", Message: "standard input is not valid JSON", ExitCode: exitInvalid}},
		{"version --json extra", failure{Code: "invalid_command_line", Message: `unexpected argument "extra"`, ExitCode: exitUsage}},
		{"listen --json --status 99", failure{Code: "invalid_command_line", Message: "--status is 99", ExitCode: exitUsage}},
	} {
		code, stdout, stderr := refusing.run(strings.NewReader("no JSON"), strings.Fields(c.args)...)
		var got failure
		if err := json.Unmarshal([]byte(stderr), &got); err != nil || strings.Count(stderr, "\n") != 1 || stdout != "" {
			t.Errorf("sluice %s: %q, %q, %v", c.args, stdout, stderr, err)
		}
		if !strings.Contains(got.Message, c.want.Message) {
			t.Errorf("sluice %s: %q lacks %q", c.args, got.Message, c.want.Message)
		}
		c.want.Message = got.Message
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(failure{})); diff != "" || code != got.ExitCode {
			t.Errorf("sluice %s: exit code %d, %s", c.args, code, diff)
		}
	}
	code, stdout, stderr := refusing.run(nil, "integrations", "test", "a", "--json")
	if code != exitFailure || !strings.Contains(stdout, `"outcome": "failed"`) || !strings.HasPrefix(stderr, `{"error_code":"not_delivered","message":"The test event was not delivered`) {
		t.Errorf("a test: exit code %d, %q, %q", code, stdout, stderr)
	}
	for _, args := range []string{"integrations get a --json=false", "integrations get a -- --json"} {
		if _, _, stderr := refusing.run(nil, strings.Fields(args)...); !strings.HasPrefix(stderr, "sluice: ") {
			t.Errorf("sluice %s: %q", args, stderr)
		}
	}
}
