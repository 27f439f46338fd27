package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/version"
)

const testToken = "token-never-to-be-shown"

// cli runs command lines in process, against a server that imitates the API.
type cli struct {
	t      *testing.T
	url    string
	vars   map[string]string
	slept  []time.Duration
	now    func() time.Time   // nil for time.Now
	cancel context.CancelFunc // of the running command, from a handler
}

// call is one request as the server saw it.
type call struct{ method, path, body string }

// newCLI responds with what the handler returns: a status, and a body that is
// encoded as JSON. It records the calls.
func newCLI(t *testing.T, answer func(n int, c call, h http.Header) (int, any)) (*cli, *[]call) {
	t.Helper()
	var mu sync.Mutex
	var calls []call
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if got := r.Header.Get("Authorization"); got != "Bearer "+testToken {
			t.Errorf("Authorization is %q", got)
		}
		mu.Lock()
		defer mu.Unlock()
		c := call{r.Method, r.URL.RequestURI(), string(body)}
		calls = append(calls, c)
		status, out := answer(len(calls), c, w.Header())
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(out); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return &cli{t: t, url: server.URL, vars: map[string]string{"SLUICE_URL": server.URL, "SLUICE_TOKEN": testToken}}, &calls
}

// run returns the exit code and what was printed.
func (c *cli) run(stdin io.Reader, args ...string) (code int, out, errOut string) {
	c.t.Helper()
	var o, e bytes.Buffer
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	c.cancel = cancel
	now := c.now
	if now == nil {
		now = time.Now
	}
	code = run(ctx, args, &env{
		in: stdin, out: &o, err: &e,
		getenv: func(name string) string { return c.vars[name] },
		sleep: func(ctx context.Context, d time.Duration) error {
			c.slept = append(c.slept, d)
			return ctx.Err()
		},
		now: now,
	})
	if strings.Contains(o.String()+e.String(), testToken) {
		c.t.Errorf("%v prints the token:\n%s%s", args, o.String(), e.String())
	}
	return code, o.String(), e.String()
}

type object = map[string]any

func problemBody(code, message string) object {
	return object{"error_code": code, "message": message, "request_id": "req-1"}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		want   int
	}{
		{200, "", exitOK},
		{400, "invalid_request", exitInvalid},
		{401, "unauthorized", exitUnauthorized},
		{403, "forbidden", exitUnauthorized},
		{404, "not_found", exitNotFound},
		{404, "", exitFailure}, // not this API
		{405, "", exitFailure},
		{409, "already_exists", exitInvalid},
		{413, "payload_too_large", exitInvalid},
		{415, "unsupported_media_type", exitInvalid},
		{429, "too_many_requests", exitUnavailable},
		{500, "internal_error", exitFailure},
		{502, "receiver_failed", exitFailure},
		{502, "", exitUnavailable},
		{503, "unavailable", exitUnavailable},
		{504, "", exitUnavailable},
		{302, "", exitFailure},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.code), func(t *testing.T) {
			cli, _ := newCLI(t, func(int, call, http.Header) (int, any) {
				if c.code == "" {
					return c.status, object{"id": "a"}
				}
				return c.status, problemBody(c.code, "Say this.")
			})
			got, _, stderr := cli.run(nil, "integrations", "get", "a")
			if got != c.want {
				t.Errorf("exit code %d, want %d; %s", got, c.want, stderr)
			}
			if c.want == exitOK {
				return
			}
			if strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "sluice: ") {
				t.Errorf("not one line: %q", stderr)
			}
			if want := c.code + ": Say this. (request_id req-1)"; c.code != "" && !strings.Contains(stderr, want) {
				t.Errorf("%q does not say %q", stderr, want)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	cli := &cli{t: t, vars: map[string]string{"SLUICE_TOKEN": testToken}}
	code, _, stderr := cli.run(nil, "integrations", "list", "--url", gone.URL)
	if code != exitUnavailable || !strings.Contains(stderr, gone.URL) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	code, _, stderr = cli.run(strings.NewReader(`{"name":"a.b"}`), "publish", "--url", gone.URL)
	if code != exitUnavailable || len(cli.slept) != 0 {
		t.Errorf("publish: exit code %d, slept %v; a service that was never there is no reason to wait. %s", code, cli.slept, stderr)
	}
}

func TestUsageErrors(t *testing.T) {
	cli := &cli{t: t}
	for _, c := range []struct{ args, want string }{
		{"nope", `unknown command "nope"`},
		{"publsh", `did you mean publish?`},
		{"publsh --file a", `did you mean publish?`},
		{"integrations lst --url a", "did you mean get or list or test?"},
		{"--nope", "unknown flag: --nope"},
		{"publish a b", `unexpected argument "b"`},
		{"publish a --file b", "omit one"},
		{"listen --reject order", `--reject is "order"; it must be the name of an event`},
		{"integrations", "a subcommand is missing: create, delete, deliveries, estimate, events, get,"},
		{"integrations lst", "did you mean get or list or test?"},
		{"integrations get", "ID is missing"},
		{"rejected retry a", "EVENT is missing"},
		{"integrations list a", `unexpected argument "a"`},
		{"integrations list --nope", "unknown flag: --nope"},
		{"integrations list --url ftp://a", "the URL of the API must look like"},
		{"integrations list --url http://user:pw@a", "must not contain a user or password"},
		{"integrations list --token hush --url http://sluice.example.com", "use https://, or --insecure on a network that you trust"},
		{"publish --token hush --url http://10.0.0.1:8080", "sent to 10.0.0.1:8080 unencrypted"},
		{"integrations list --token env:NOT_SET", "the environment variable NOT_SET is not set"},
		{"integrations create", "no field is given"},
		{"integrations create --file a --id b", "--file contains the whole body"},
		{"integrations create --api-key @no-such-file", "--api-key: open no-such-file"},
		{"integrations create --id a\u200b", "--id: the value has an invisible character (U+200B) at position 2; remove it"},
		{"integrations create --callback-url https://h/\xff", "--callback-url: the value has a byte (0xFF) at position 11 that is not UTF-8"},
		{"integrations create --api-key hush\ufeff", "--api-key: the value has an invisible character (U+FEFF) at position 5; remove it"},
		{"integrations create --starts-at 2026-01-01t00:00:00z\u200e", "--starts-at: the value has an invisible character (U+200E) at position 21"},
		{"integrations update a --event-filter a.b,\u2060a.c", "--event-filter: the value has an invisible character (U+2060) at position 5"},
		{"publish --from-line 0", "--from-line is 0"},
		{"listen --status 99", "--status is 99; it must be from 200 to 599"},
		{"listen --signing-secret abc", "--signing-secret must be whsec_"},
		{"listen --delay -1s", "--delay is -1s; it must not be negative"},
		{"listen --port 65536", "--port is 65536; it must be from 0 to 65535"},
		{"listen --port -1", "--port is -1; it must be from 0 to 65535"},
		{"listen --port some", `--port: "some" is not an integer; see sluice listen --help`},
		{"listen --status 200,some", `--status: "some" is not an integer`},
		{"listen --delay 3", `--delay: "3" is not a duration; write it like 300s, 5m or 72h`},
		{"listen --json=perhaps", `--json: "perhaps" is neither true nor false`},
		{"publish --from-line 1.5", `--from-line: "1.5" is not an integer`},
		{"integrations logs a --limit 99999999999999999999", `--limit: "99999999999999999999" is not an integer`},
		{"token --ttl soon", `--ttl: "soon" is not a duration`},
		{"tenant lanes", `TENANT is missing; see sluice tenant lanes --help`},
		{"tenant lanes a/b", `the tenant "a/b" is invalid: it contains a slash`},
		{"tenant lanes acme four", `N is "four"; it must be a number from 1 to 32; see sluice tenant lanes --help`},
		{"tenant lanes acme 33", `N is "33"; it must be a number from 1 to 32; see sluice tenant lanes --help`},
		{"tenant lanes acme --data /tmp", `--data is for usage and purge; lanes calls the service, see --url`},
		{"serve --lanes many", `--lanes: "many" is not an integer; see sluice serve --help`},
		{"serve --retention 3", `--retention: "3" is not a duration; write it like 300s, 5m or 72h`},
		{"serve --s3-file-bytes 5MB", `--s3-file-bytes: "5MB" is not a size`},
		{"serve --dev=perhaps", `--dev: "perhaps" is neither true nor false`},
		{"help nope", `unknown command "nope"`},
		{"help publsh", "did you mean publish?"},
		{"help integrations lst", "did you mean get or list or test?"},
		{"help version now", `unknown command "now"`},
		{"nope --help", `unknown command "nope"`},
		{"integrations lst --help", "did you mean get or list or test?"},
		{"completion", "a subcommand is missing: bash, fish"},
		{"completion tcsh", `unknown command "tcsh"`},
		{"completion bash now", `unexpected argument "now"`},
		{"integrations update a --remove status", `--remove: "status" is not a field that can be removed; choose from api-key, signing-secret, s3-key-prefix`},
		{"integrations update a --remove api-key --api-key x", "--remove api-key and --api-key are both given; omit one"},
	} {
		code, stdout, stderr := cli.run(nil, strings.Fields(c.args)...)
		if code != exitUsage || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 || stdout != "" {
			t.Errorf("sluice %s: exit code %d, stderr %q, stdout %q; want %d and %q", c.args, code, stderr, stdout, exitUsage, c.want)
		}
	}
}

// A secret is sent exactly as in its file, without the trailing newline. One with
// invisible characters is refused, for the user to correct.
func TestSecretOfAFileIsNotAltered(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	cli := &cli{t: t}
	for content, want := range map[string]string{
		"hush \n":      "ends with a space; remove it",
		"\thush\n":     "a control character (U+0009) at position 1",
		"hush\u00a0\n": "a special space (U+00A0) at position 5",
		"hush\u200b":   "an invisible character (U+200B) at position 5",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := cli.run(nil, "integrations", "create", "--api-key", "@"+file)
		if code != exitUsage || !strings.Contains(stderr, "--api-key: the value ") || !strings.Contains(stderr, want) || strings.Contains(stderr, "hush") {
			t.Errorf("%q: exit code %d, %q; want %q", content, code, stderr, want)
		}
	}
}

// A file that Windows tools wrote in another encoding is named as such.
func TestEncodingOfAFileIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "input")
	cli := &cli{t: t}
	for content, want := range map[string]string{
		"\ufeff{}":           file + " begins with a byte order mark; save it as UTF-8 without one",
		"\xff\xfe{\x00}\x00": file + " is in UTF-16 or UTF-32; save it as UTF-8",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		for args, code := range map[string]int{
			"integrations create --file " + file:     exitInvalid,
			"integrations create --api-key @" + file: exitUsage,
			"integrations list --token @" + file:     exitUsage,
		} {
			if got, _, stderr := cli.run(nil, strings.Fields(args)...); got != code || !strings.Contains(stderr, want) {
				t.Errorf("sluice %s: exit code %d, %q; want %d and %q", args, got, stderr, code, want)
			}
		}
	}
}

func TestFileThatCannotBeOpened(t *testing.T) {
	cli := &cli{t: t}
	for _, args := range []string{"publish no-such-file", "integrations create --file no-such-file"} {
		if _, _, stderr := cli.run(nil, strings.Fields(args)...); !strings.Contains(stderr, "cannot read the input: open no-such-file") || !strings.Contains(stderr, "; check the path") {
			t.Errorf("sluice %s: %q", args, stderr)
		}
	}
}

// A wrong URL or token is named as it was given: people look for it there.
func TestURLAndTokenAreNamedAsTheyWereGiven(t *testing.T) {
	for _, c := range []struct {
		args, variable, value, want string
	}{
		{"--url ftp://a", "", "", "sluice: --url: the URL of the API must look like"},
		{"", "SLUICE_URL", "ftp://a", "sluice: SLUICE_URL: the URL of the API must look like"},
		{"--token hush", "SLUICE_URL", "http://10.0.0.1", "sluice: SLUICE_URL: the token and all data would be sent"},
		{"--url http://10.0.0.1", "SLUICE_TOKEN", "hush", "sluice: --url: the token and all data would be sent"},
		{"--token hush\u200b", "SLUICE_TOKEN", "hush", "sluice: --token: the token has an invisible character"},
		{"", "SLUICE_TOKEN", "hush\u200b", "sluice: SLUICE_TOKEN: the token has an invisible character"},
		{"--token @/no/such", "", "", "sluice: --token: open /no/such"},
	} {
		cli := &cli{t: t, vars: map[string]string{c.variable: c.value}}
		code, _, stderr := cli.run(nil, append([]string{"integrations", "list"}, strings.Fields(c.args)...)...)
		if code != exitUsage || !strings.HasPrefix(stderr, c.want) || strings.Contains(stderr, "hush") {
			t.Errorf("%s with %s=%s: exit code %d, %q; want %q", c.args, c.variable, c.value, code, stderr, c.want)
		}
	}
}

// A token that no header can have is the fault of the token, not of the URL.
func TestTokenThatCannotBeSent(t *testing.T) {
	cli := &cli{t: t}
	for _, token := range []string{"hush\n", "“hush”", "hush\u200b"} {
		code, _, stderr := cli.run(nil, "integrations", "list", "--token", token)
		if code != exitUsage || !strings.Contains(stderr, "the token has ") || strings.Contains(stderr, "hush") {
			t.Errorf("%q: exit code %d, %q", token, code, stderr)
		}
	}
}

// Every command says what it is for and shows how it is used.
func TestHelp(t *testing.T) {
	cli := &cli{t: t}
	code, stdout, _ := cli.run(nil, "--help")
	if code != exitOK || !strings.Contains(stdout, exitCodeHelp) || !strings.Contains(stdout, errorHelp) || !strings.Contains(stdout, "SLUICE_TOKEN") {
		t.Errorf("sluice --help: exit code %d\n%s", code, stdout)
	}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.HasParent() && (cmd.Short == "" || !strings.Contains(cmd.Example, cmd.CommandPath())) {
			t.Errorf("%s has no example or no description", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(rootCommand(&env{}))
}

// A misspelt subcommand must not look like success to a script.
func TestGroupsRefuseOtherSubcommands(t *testing.T) {
	cli := &cli{t: t}
	for _, group := range rootCommand(&env{}).Commands() {
		if !group.HasSubCommands() {
			continue
		}
		for _, c := range []struct {
			args    []string
			message string
		}{{[]string{group.Name()}, "a subcommand is missing"}, {[]string{group.Name(), "nope"}, `unknown command "nope"`}} {
			code, _, stderr := cli.run(nil, c.args...)
			if code != exitUsage || !strings.Contains(stderr, c.message) {
				t.Errorf("sluice %s: exit code %d, %q", strings.Join(c.args, " "), code, stderr)
			}
		}
	}
}

// The help of a command is there in both ways.
func TestHelpOfACommand(t *testing.T) {
	cli := &cli{t: t}
	for _, args := range []string{"", "integrations", "integrations create", "completion bash"} {
		_, want, _ := cli.run(nil, strings.Fields(args+" --help")...)
		code, stdout, stderr := cli.run(nil, append([]string{"help"}, strings.Fields(args)...)...)
		if code != exitOK || want == "" || stdout != want {
			t.Errorf("sluice help %s: exit code %d, %s%s", args, code, stderr, cmp.Diff(want, stdout))
		}
	}
}

// Those who report a fault can say of which source it is.
func TestVersionHasTheCommit(t *testing.T) {
	before := version.Commit
	defer func() { version.Commit = before }()
	cli := &cli{t: t}
	for commit, want := range map[string]string{"c9216f1a-dirty": "(commit c9216f1a-dirty, go", "": "(go"} {
		version.Commit = commit
		if _, stdout, _ := cli.run(nil, "version"); !strings.Contains(stdout, want) {
			t.Errorf("%q lacks %q", stdout, want)
		}
		if _, stdout, _ := cli.run(nil, "version", "--json"); !strings.Contains(stdout, `"commit": "`+commit+`"`) {
			t.Errorf("%s lacks the commit %q", stdout, commit)
		}
	}
}

func TestVersion(t *testing.T) {
	cli := &cli{t: t}
	code, stdout, _ := cli.run(nil, "version", "--json")
	var got map[string]string
	if err := json.Unmarshal([]byte(stdout), &got); code != exitOK || err != nil || got["version"] == "" {
		t.Errorf("exit code %d, %v, %s", code, err, stdout)
	}
}

func TestVersionFlag(t *testing.T) {
	cli := &cli{t: t}
	_, want, _ := cli.run(nil, "version")
	if code, stdout, stderr := cli.run(nil, "--version"); code != exitOK || stdout != want {
		t.Errorf("exit code %d, %q, %q; want %q", code, stdout, stderr, want)
	}
}

func TestCallsOfCommands(t *testing.T) {
	const base = "/api/v1/org/integrations/eventstream"
	in := object{"id": "a", "integration_type": "permanent", "status": "stopped", "new_field": 7, "callback_parameters": object{"callback_url": "https://example.com/h"}}
	for _, c := range []struct {
		args string
		call call
		body any // of the response
		want string
	}{
		{"integrations list", call{"GET", base + "?include=health", ""}, object{"integrations": []any{in}}, "ID  TYPE       STATE    BEHIND  SINCE  TARGET\na   permanent  stopped  -       -      https://example.com/h\n"},
		{"integrations list", call{"GET", base + "?include=health", ""}, object{"integrations": []any{}}, "There are no integrations yet. Register one; see sluice integrations create --help\n"},
		{"integrations start a", call{"POST", base + "/a/_start", ""}, object{"id": "a", "status": "running"}, "a is running.\n"},
		{"integrations stop a", call{"POST", base + "/a/_stop", ""}, in, "a is stopped. Start it again with: sluice integrations start a\n"},
		{"integrations delete a", call{"DELETE", base + "/a", ""}, object{}, "Deleted a, its log and its rejected events.\n"},
		{
			"integrations logs a",
			call{"GET", base + "/a/logs?limit=50", ""},
			object{"entries": []any{object{"action": "retry_triggered", "reason": "bad\x1b[2Jnews\ttab", "created_at": "T"}}},
			"TIME  ACTION           REASON\nT     retry_triggered  bad\\u001b[2Jnews\\u0009tab\n",
		},
		{"rejected list a", call{"GET", base + "/a/rejected_events?limit=200", ""}, object{"rejected_events": []any{
			object{"id": "e", "created_at": "T", "event_name": "a.b", "reason": "rejected", "status_code": 400},
			object{"id": "f", "created_at": "U", "event_name": nil, "reason": "skipped", "status_code": nil},
		}}, "EVENT  NAME  REASON    STATUS  SINCE\ne      a.b   rejected  400     T\nf            skipped           U\n"},
		{"integrations start a --from latest", call{"POST", base + "/a/_start", `{"from":"latest"}`}, object{"id": "a", "status": "running"}, "a is running.\n"},
		{"integrations skip a e", call{"POST", base + "/a/_skip", `{"event_id":"e"}`}, object{"skipped": "e"}, "Skipped e. Retry it with: sluice rejected retry a e\n"},
		{"tenant lanes acme", call{"GET", "/api/v1/org/lanes", ""}, object{"tenant": "acme", "lanes": 3}, "TENANT  LANES\nacme    3\n"},
		{"tenant lanes acme 4", call{"PUT", "/api/v1/org/lanes", `{"lanes":4}`}, object{"tenant": "acme", "lanes": 4}, "acme has 4 lanes. All publishers use them within 30 s.\n"},
		{"integrations logs a", call{"GET", base + "/a/logs?limit=50", ""}, object{"entries": []any{}}, "TIME  ACTION  REASON\n"},
		{"rejected list a", call{"GET", base + "/a/rejected_events?limit=200", ""}, object{"rejected_events": []any{}}, "a has no rejected events.\n"},
		{"rejected get a e", call{"GET", base + "/a/rejected_events/e", ""}, object{"id": "e"}, "{\n  \"id\": \"e\"\n}\n"},
		{
			"events get e",
			call{"GET", "/api/v1/org/events/e", ""},
			object{
				"event": object{"id": "e", "name": "a.b", "published_at": "T", "payload": object{"n": 1.0}},
				"integrations": []any{
					object{"id": "a", "verdict": "delivered", "because": "The receiver took it.", "delivery": nil},
					object{"id": "shop", "verdict": "before_start", "because": "So it is.", "delivery": nil},
				},
			},
			"event         e\nname          a.b\npublished at  T\npayload       {\"n\":1}\n\n" +
				"INTEGRATION  VERDICT       BECAUSE\na            delivered     The receiver took it.\nshop         before start  So it is.\n",
		},
		{
			"events get e --published-at T",
			call{"GET", "/api/v1/org/events/e?published_at=T", ""},
			object{"event": object{"id": "e", "name": "a.b", "published_at": "T", "payload": object{}}, "integrations": []any{}},
			"event         e\nname          a.b\npublished at  T\npayload       {}\n\nThere is no integration that could get it.\n",
		},
		{
			"events get e --from F --to T",
			call{"GET", "/api/v1/org/events/e?from=F&to=T", ""},
			object{"event": object{"id": "e", "name": "a.b", "published_at": "T", "payload": object{}}, "integrations": []any{}},
			"",
		},
		{"rejected retry a e", call{"POST", base + "/a/rejected_events/e/_retry", ""}, object{}, "The receiver accepted e.\n"},
		{"rejected delete a e", call{"DELETE", base + "/a/rejected_events/e", ""}, object{}, "Deleted e.\n"},
	} {
		t.Run(c.args, func(t *testing.T) {
			cli, calls := newCLI(t, func(int, call, http.Header) (int, any) { return http.StatusOK, c.body })
			code, stdout, stderr := cli.run(nil, strings.Fields(c.args)...)
			if code != exitOK || stderr != "" || c.want != "" && stdout != c.want {
				t.Errorf("exit code %d, stderr %q, diff of stdout:\n%s", code, stderr, cmp.Diff(c.want, stdout))
			}
			if diff := cmp.Diff([]call{c.call}, (*calls)[:1], cmp.AllowUnexported(call{})); diff != "" {
				t.Error(diff)
			}

			// With --json, what the API returned, unknown fields and all.
			_, stdout, _ = cli.run(nil, append(strings.Fields(c.args), "--json")...)
			var got any
			if err := json.Unmarshal([]byte(stdout), &got); err != nil {
				t.Fatalf("%v: %s", err, stdout)
			}
			want, err := json.Marshal(c.body)
			if err != nil {
				t.Fatal(err)
			}
			if same, err := json.Marshal(got); err != nil || !bytes.Equal(same, want) {
				t.Errorf("--json prints %s, %v; want %s", same, err, want)
			}
		})
	}
}

// failingWriter fails as a closed pipe or a full disk does.
type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("no room") }

func TestOutputThatCannotBeWritten(t *testing.T) {
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"version"}, &env{out: failingWriter{}, err: &stderr})
	if code != exitFailure || stderr.String() != "sluice: no room\n" {
		t.Errorf("exit code %d, %q", code, stderr.String())
	}
}
