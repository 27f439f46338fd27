package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBodies(t *testing.T) {
	dir := t.TempDir()
	secretFile, bodyFile := filepath.Join(dir, "secret"), filepath.Join(dir, "body.json")
	for file, content := range map[string]string{secretFile: "from-a-file\n", bodyFile: `{"id": "b", "unknown": 1}`} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		args []string
		in   string
		want string // method and body
	}{
		{
			"webhook",
			[]string{"create", "--id", "a", "--type", "permanent", "--callback-url", "https://example.com/h", "--api-key", "env:HOOK_KEY", "--signing-secret", "@" + secretFile, "--event-filter", "a.b, a.c", "--entity-filter", "order"},
			"",
			`POST {"callback_parameters":{"api_key":"from-env","callback_url":"https://example.com/h","signing_secret":"from-a-file"},"filter_conditions":{"entity_filter":["order"],"event_filter":["a.b","a.c"]},"id":"a","integration_type":"permanent"}`,
		},
		{
			"bucket",
			[]string{"create", "--id", "a", "--type", "temporary", "--s3-bucket", "b", "--s3-region", "r", "--s3-access-key-id", "k", "--s3-secret-access-key", "in-clear", "--s3-key-prefix", "p", "--s3-endpoint", "https://e", "--starts-at", "S", "--ends-at", "E"},
			"",
			`POST {"ends_at":"E","id":"a","integration_type":"temporary","s3_parameters":{"aws_access_key_id":"k","aws_region":"r","aws_secret_access_key":"in-clear","bucket":"b","endpoint":"https://e","key_prefix":"p"},"starts_at":"S"}`,
		},
		{"file", []string{"create", "--file", bodyFile}, "", `POST {"id":"b","unknown":1}`},
		{"stdin", []string{"create", "-f", "-"}, `{"id":"c"}`, `POST {"id":"c"}`},
		{"patch", []string{"update", "a", "--callback-url", "https://example.com/2"}, "", `PATCH {"callback_parameters":{"callback_url":"https://example.com/2"}}`},
		{"remove", []string{"update", "a", "--remove", "api-key,event-filter"}, "", `PATCH {"callback_parameters":{"api_key":null},"filter_conditions":{"event_filter":null}}`},
		{"patch from stdin", []string{"update", "a", "--file", "-"}, `{"filter_conditions":null}`, `PATCH {"filter_conditions":null}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			cli, calls := newCLI(t, func(int, call, http.Header) (int, any) { return http.StatusOK, object{"id": "a", "status": "running"} })
			cli.vars["HOOK_KEY"] = "from-env"
			code, stdout, stderr := cli.run(strings.NewReader(c.in), append([]string{"integrations"}, c.args...)...)
			if code != exitOK || len(*calls) != 1 {
				t.Fatalf("exit code %d, %d calls; %s", code, len(*calls), stderr)
			}
			got := (*calls)[0]
			if diff := cmp.Diff(c.want, got.method+" "+got.body); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(stdout+stderr, "in-clear") || strings.Contains(stdout+stderr, "from-") {
				t.Errorf("prints a secret: %s%s", stdout, stderr)
			}
		})
	}
}

func TestCreateFromBrokenFile(t *testing.T) {
	cli, calls := newCLI(t, func(int, call, http.Header) (int, any) { return http.StatusOK, object{} })
	code, _, stderr := cli.run(strings.NewReader("{"), "integrations", "create", "--file", "-")
	if code != exitInvalid || len(*calls) != 0 || !strings.Contains(stderr, "standard input is not valid JSON") {
		t.Errorf("exit code %d, %d calls, %q", code, len(*calls), stderr)
	}
	code, _, stderr = cli.run(nil, "integrations", "create", "--file", "no-such-file")
	if code != exitFailure || !strings.Contains(stderr, "no-such-file") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

func TestUpdateOfARunningIntegration(t *testing.T) {
	cli, _ := newCLI(t, func(int, call, http.Header) (int, any) {
		return http.StatusBadRequest, problemBody("not_stopped", "Stop it first.")
	})
	code, _, stderr := cli.run(nil, "integrations", "update", "a", "--callback-url", "https://example.com/2")
	want := "sluice: not_stopped: Stop it first. (request_id req-1); run: sluice integrations stop a --wait\n"
	if code != exitInvalid || stderr != want {
		t.Errorf("exit code %d, %q, want %q", code, stderr, want)
	}
}

func TestStopWaits(t *testing.T) {
	statuses := []string{"stopping", "stopping", "stopping", "stopped"}
	cli, calls := newCLI(t, func(n int, _ call, _ http.Header) (int, any) {
		return http.StatusOK, object{"id": "a", "status": statuses[min(n-1, len(statuses)-1)]}
	})
	code, stdout, stderr := cli.run(nil, "integrations", "stop", "a", "--wait", "--json")
	var got struct{ Status string }
	if err := json.Unmarshal([]byte(stdout), &got); code != exitOK || err != nil || got.Status != "stopped" || len(*calls) != 4 {
		t.Errorf("exit code %d, %v, %d calls, %s%s", code, err, len(*calls), stdout, stderr)
	}

	// Without --wait it says that it is not there yet.
	*calls = nil
	code, stdout, _ = cli.run(nil, "integrations", "stop", "a")
	if code != exitOK || !strings.Contains(stdout, "a is stopping; events may still arrive") {
		t.Errorf("exit code %d, %q", code, stdout)
	}
}

func TestStopWaitGivesUp(t *testing.T) {
	for status, want := range map[string]string{"stopping": "a is still stopping after 5m0s", "running": "it was started again"} {
		cli, _ := newCLI(t, func(int, call, http.Header) (int, any) { return http.StatusOK, object{"id": "a", "status": status} })
		code, _, stderr := cli.run(nil, "integrations", "stop", "a", "--wait")
		if code != exitFailure || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, %q; want %q", status, code, stderr, want)
		}
	}
}
