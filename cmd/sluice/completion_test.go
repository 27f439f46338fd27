package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// completions returns what a shell is offered for the last word of a command line.
func (c *cli) completions(args ...string) []string {
	c.t.Helper()
	code, stdout, stderr := c.run(nil, append([]string{cobra.ShellCompRequestCmd}, args...)...)
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if code != exitOK || lines[len(lines)-1] != ":4" { // no files
		c.t.Errorf("%q: exit code %d, %q, %q", args, code, stdout, stderr)
	}
	return lines[:len(lines)-1]
}

// Completion offers what a command takes: ids of the tenant's integrations and of their events.
func TestCompletionOffersIDs(t *testing.T) {
	cli, calls := newCLI(t, func(_ int, c call, _ http.Header) (int, any) {
		switch {
		case strings.Contains(c.path, "/rejected_events"):
			return 200, object{"rejected_events": []any{object{"id": "e1", "reason": "rejected", "created_at": "T"}}}
		case strings.HasSuffix(c.path, "/health"):
			return 200, object{"state": "failing", "failing": object{"event_id": "e2"}}
		}
		return 200, object{"integrations": []any{
			object{"id": "shop", "integration_type": "permanent", "status": "running"},
			object{"id": "sh\x1b[2J", "integration_type": "temporary", "status": "stopped"},
		}}
	})
	ids := []string{"shop\tpermanent, running", `sh\u001b[2J` + "\ttemporary, stopped"}
	for _, group := range rootCommand(&env{}).Commands() {
		if group.Name() != "integrations" && group.Name() != "rejected" {
			continue
		}
		for _, cmd := range group.Commands() {
			want := ids
			if !strings.Contains(cmd.Use, "ID") {
				want = []string{}
			}
			if diff := cmp.Diff(want, cli.completions(group.Name(), cmd.Name(), "")); diff != "" {
				t.Errorf("%s: %s", cmd.CommandPath(), diff)
			}
		}
	}
	for args, want := range map[string][]string{
		"rejected get shop":      {"e1\trejected T"},
		"rejected retry shop":    {"e1\trejected T"},
		"rejected delete shop":   {"e1\trejected T"},
		"integrations skip shop": {"e2"},
		"integrations get shop":  {},
	} {
		*calls = nil
		if diff := cmp.Diff(want, cli.completions(append(strings.Fields(args), "")...)); diff != "" {
			t.Errorf("%s: %s", args, diff)
		}
		if len(want) == 0 && len(*calls) > 0 {
			t.Errorf("%s: calls for nothing: %v", args, *calls)
		}
	}
}

func TestCompletionOffersWhatFlagsCanBe(t *testing.T) {
	cli := &cli{t: t}
	for args, want := range map[string][]string{
		"integrations create --type":       {"permanent", "temporary"},
		"integrations estimate --type":     {"permanent", "temporary"},
		"integrations update a --remove":   {"api-key", "signing-secret", "s3-key-prefix", "s3-endpoint", "event-filter", "entity-filter"},
		"integrations events a --position": {"earliest", "latest"},
		"integrations start a --from":      {"latest"},
		"token --scope":                    {"integrations:read", "integrations:write", "events:publish", "tenants:any"},
		"serve --log-level":                {"debug", "info", "warn", "error"},
	} {
		if diff := cmp.Diff(want, cli.completions(append(strings.Fields(args), "")...)); diff != "" {
			t.Errorf("%s: %s", args, diff)
		}
	}
	if got := cli.completions("integrations", "logs", "a", "--action", ""); len(got) < 13 || got[0] != "integration_created" {
		t.Errorf("actions: %q", got)
	}
	if got := cli.completions("help", "integrations", ""); len(got) < 10 || !strings.HasPrefix(got[0], "create\t") {
		t.Errorf("help: %q", got)
	}
}

// A shell that completes must not show errors, nor wait for a service that is not there.
func TestCompletionWithoutTheServiceOffersNothing(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	cli := &cli{t: t, vars: map[string]string{"SLUICE_URL": gone.URL}}
	for _, args := range []string{"integrations get", "integrations skip a", "rejected get a", "integrations get --token env:NOT_SET"} {
		if got := cli.completions(append(strings.Fields(args), "")...); len(got) > 0 {
			t.Errorf("%s: %q", args, got)
		}
	}
}
