package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// A call that the service refuses is a failure of its command, which prints nothing else.
func TestCommandsFailWithTheirCalls(t *testing.T) {
	for _, args := range []string{
		"integrations list", "integrations get a", "integrations watch", "integrations watch a", "integrations logs a", "integrations logs a -f",
		"integrations events a", "integrations events a -f", "integrations skip a e", "integrations start a", "integrations start a --from latest",
		"integrations stop a", "integrations test a", "integrations estimate --id a", "integrations create --id a", "integrations update a --api-key x", "integrations delete a",
		"events get e",
		"rejected list a", "rejected get a e", "rejected retry a e", "rejected retry a --all", "rejected delete a e", "rejected delete a --all",
	} {
		for _, asJSON := range []string{"", " --json"} {
			cli, _ := newCLI(t, func(int, call, http.Header) (int, any) { return 404, problemBody("not_found", "It is gone.") })
			code, stdout, stderr := cli.run(nil, strings.Fields(args+asJSON)...)
			want := "sluice: not_found: It is gone. (request_id req-1)\n"
			if asJSON != "" {
				want = `{"error_code":"not_found","message":"It is gone.","request_id":"req-1","exit_code":3}` + "\n"
			}
			if code != exitNotFound || stdout != "" || stderr != want {
				t.Errorf("sluice %s%s: exit code %d, %q, %q", args, asJSON, code, stdout, stderr)
			}
		}
	}
}

// A value that a script has lost is no value: without the flag the command would do something
// else, such as register an integration for all events, start one where it stands, or act for
// another tenant.
func TestEmptyValuesAreRefused(t *testing.T) {
	registration := []string{"--id", "a", "--type", "permanent", "--callback-url", "https://example.com"}
	commands := map[string][]string{"integrations create": registration, "integrations estimate": registration, "integrations update a": nil}
	var cases [][]string
	for command, rest := range commands {
		for _, f := range registrationFlags(&api{}).all {
			if command != "integrations update a" || !slices.Contains([]string{"id", "type", "starts-at", "ends-at"}, f.flag) {
				cases = append(cases, append(append(strings.Fields(command), rest...), "--"+f.flag, ""))
			}
		}
		cases = append(cases, append(append(strings.Fields(command), rest...), "--file", ""))
	}
	cases = append(cases, []string{"integrations", "update", "a", "--remove", ""}, []string{"integrations", "list", "--tenant", ""}, []string{"publish", "--token", ""})
	for _, args := range cases {
		cli, calls := newCLI(t, func(int, call, http.Header) (int, any) { return 200, object{} })
		flag := args[len(args)-2]
		code, stdout, stderr := cli.run(strings.NewReader(""), args...)
		if code != exitUsage || stdout != "" || len(*calls) > 0 || !strings.HasPrefix(stderr, "sluice: "+flag+": the value is empty; give one, or omit the flag") {
			t.Errorf("sluice %q: exit code %d, %q, %q after %d calls", args, code, stdout, stderr, len(*calls))
		}
	}
}

// So are those of the other commands: each of their flags that is a text. serve says itself what
// an empty setting means.
func TestEmptyValueOfAnyFlagIsRefused(t *testing.T) {
	checked := 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.Flags().AddFlagSet(cmd.InheritedFlags())
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			if kind := flag.Value.Type(); kind == "bool" || kind == "int" || kind == "duration" || kind == "intSlice" || cmd.Name() == "serve" && flag.Name != "config" {
				return
			}
			checked++
			same, _, err := rootCommand(&env{}).Find(strings.Fields(cmd.CommandPath())[1:])
			if err != nil || same.ParseFlags([]string{"--" + flag.Name + "="}) != nil {
				t.Fatalf("%s --%s=: %v", cmd.CommandPath(), flag.Name, err)
			}
			if err := same.Root().PersistentPreRunE(same, nil); err == nil || !strings.HasPrefix(err.Error(), "--"+flag.Name+": the value is empty") {
				t.Errorf("%s --%s=: %v", cmd.CommandPath(), flag.Name, err)
			}
		})
		for _, sub := range cmd.Commands() {
			if sub.PersistentPreRunE != nil {
				t.Errorf("%s has a PersistentPreRunE, which takes the place of that of the root", sub.CommandPath())
			}
			walk(sub)
		}
	}
	walk(rootCommand(&env{}))
	if checked < 80 {
		t.Errorf("found only %d flags; the search for them is broken", checked)
	}
}

// What is removed is named, as nothing can be by mistake.
func TestUpdateRemovesFields(t *testing.T) {
	cli, calls := newCLI(t, func(int, call, http.Header) (int, any) { return 200, object{"id": "a", "status": "stopped"} })
	code, _, stderr := cli.run(nil, "integrations", "update", "a", "--remove", "api-key,event-filter", "--entity-filter", "order", "--remove", "signing-secret")
	want := `{"callback_parameters":{"api_key":null,"signing_secret":null},"filter_conditions":{"entity_filter":["order"],"event_filter":null}}`
	if code != exitOK || len(*calls) != 1 || (*calls)[0].body != want {
		t.Errorf("exit code %d, %+v, %s", code, *calls, stderr)
	}
	code, _, stderr = cli.run(nil, "integrations", "update", "a", "--api-key", "")
	if code != exitUsage || !strings.Contains(stderr, "to remove the field, use --remove api-key") {
		t.Errorf("exit code %d, %s", code, stderr)
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
