package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// With --tenant every command names the tenant in the header; without it none does.
func TestCommandsActForTheTenantOfTheFlag(t *testing.T) {
	var named []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		named = append(named, strings.Join(r.Header.Values("Sluice-Tenant"), "|"))
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusAccepted)
		}
		_ = json.NewEncoder(w).Encode(object{"events": []object{{"id": "x"}}})
	}))
	t.Cleanup(server.Close)
	cli := &cli{t: t, vars: map[string]string{"SLUICE_URL": server.URL, "SLUICE_TOKEN": testToken}}
	for _, args := range []string{"integrations list", "rejected list a", "publish"} {
		for _, tenant := range []string{"", "Ä & Co."} {
			named = nil
			command := strings.Fields(args)
			if tenant != "" {
				command = append(command, "--tenant", tenant)
			}
			if code, _, stderr := cli.run(strings.NewReader(`{"id":"x"}`), command...); code != exitOK || len(named) != 1 || named[0] != tenant {
				t.Errorf("%q: exit code %d, the calls named %q; %s", command, code, named, stderr)
			}
		}
	}
	named = nil
	for _, bad := range []string{"a/b", "", ".."} {
		if code, _, stderr := cli.run(nil, "integrations", "list", "--tenant", bad); code != exitUsage || !strings.Contains(stderr, "--tenant") {
			t.Errorf("--tenant %q: exit code %d, %s", bad, code, stderr)
		}
	}
	if named != nil {
		t.Errorf("a call was made for a tenant that cannot be: %q", named)
	}
}

// The tenant of each event arrives as it is in the input.
func TestPublishSendsTheTenantOfEachEvent(t *testing.T) {
	cli, calls := newCLI(t, func(_ int, c call, _ http.Header) (int, any) { return accepted(t, c, new([]string)) })
	code, _, stderr := cli.run(strings.NewReader(`{"tenant":"acme","name":"a.b","payload":{}}
{"name":"a.b","payload":{},"tenant":"globex"}`), "publish")
	if code != exitOK || len(*calls) != 1 {
		t.Fatalf("exit code %d, %d calls, %s", code, len(*calls), stderr)
	}
	for i, line := range strings.Split(strings.TrimSpace((*calls)[0].body), "\n") {
		var e struct{ Tenant string }
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Tenant != []string{"acme", "globex"}[i] {
			t.Errorf("event %d is %s, %v", i, line, err)
		}
	}
}
