package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestCommandLine covers the life of an integration with the commands
// alone, as a script would: by their output and exit codes.
func TestCommandLine(t *testing.T) {
	t.Parallel()
	n := newNode(t, plain, map[string]string{"SLUICE_RETRY_MIN": "50ms"}, "--dev")
	token := run(t, plain, nil, "", "token", "--data", n.data, "--tenant", "acme", "--scope", "integrations:write,events:publish", "--ttl", "10m")
	if token.code != 0 || strings.Count(token.stdout, "\n") != 1 || token.stderr != "" {
		t.Fatalf("token: %+v", token)
	}
	env := map[string]string{"SLUICE_URL": n.url(), "SLUICE_TOKEN": strings.TrimSpace(token.stdout)}
	do := func(code int, stdin string, args ...string) output {
		t.Helper()
		got := run(t, plain, env, stdin, args...)
		if got.code != code {
			t.Errorf("sluice %s: exit code %d, want %d: %s%s", strings.Join(args, " "), got.code, code, got.stdout, got.stderr)
		}
		if code != 0 && !strings.Contains(got.stderr, "sluice: ") {
			t.Errorf("sluice %s failed without a word: %q", strings.Join(args, " "), got.stderr)
		}
		return got
	}
	received, url, endListener := listen(t)

	do(0, "", "version")
	do(0, "", "integrations", "create", "--id", "shop", "--type", "permanent", "--callback-url", url, "--api-key", "key-of-the-receiver")
	do(4, "", "integrations", "create", "--id", "shop", "--type", "permanent", "--callback-url", url)
	do(4, "", "integrations", "create", "--id", "Shop", "--type", "permanent", "--callback-url", url)
	do(3, "", "integrations", "get", "nobody")
	if list := do(0, "", "integrations", "list"); !strings.Contains(list.stdout, "shop") || strings.Contains(list.stdout, "key-of-the-receiver") {
		t.Errorf("the list is %s", list.stdout)
	}

	published := do(0, `{"name":"order.created","payload":{"n":1}}`+"\n"+`{"name":"refund_request.declined","payload":{"n":2}}`+"\n", "publish", "--json")
	if strings.Count(published.stdout, "\n") != 2 {
		t.Errorf("published %q", published.stdout)
	}
	until(t, "the listener prints the event", func() bool { return strings.Contains(received(), `"payload":{"n":1}`) })
	bad := do(4, `{"name":"order.created","payload":{}}`+"\n"+`{"name":"order","payload":{}}`+"\n", "publish")
	if !strings.Contains(bad.stderr, "The service refused line 2; correct it first.") || strings.Contains(bad.stderr, "--from-line") {
		t.Errorf("of a bad line it says %s", bad.stderr)
	}

	var rejected struct {
		Events []struct{ ID string } `json:"rejected_events"`
	}
	until(t, "an event is rejected", func() bool {
		text := do(0, "", "rejected", "list", "shop", "--json").stdout
		return json.Unmarshal([]byte(text), &rejected) == nil && len(rejected.Events) == 1
	})
	id := rejected.Events[0].ID
	if got := do(0, "", "rejected", "get", "shop", id); !strings.Contains(got.stdout, "refund_request.declined") {
		t.Errorf("the rejected event is %s", got.stdout)
	}
	do(1, "", "rejected", "retry", "shop", id) // the receiver still refuses it
	do(0, "", "integrations", "stop", "shop", "--wait")
	do(0, "", "integrations", "update", "shop", "--callback-url", url+"elsewhere")
	do(0, "", "integrations", "start", "shop")
	do(4, "", "integrations", "update", "shop", "--callback-url", url)
	if log := do(0, "", "integrations", "logs", "shop").stdout; !strings.Contains(log, "event_rejected") || !strings.Contains(log, "integration_updated") {
		t.Errorf("the log is %s", log)
	}
	do(0, "", "rejected", "delete", "shop", id)
	do(3, "", "rejected", "retry", "shop", id)
	do(0, "", "integrations", "delete", "shop")
	do(3, "", "integrations", "logs", "shop")

	do(2, "", "integrations", "creat")
	do(2, "", "token", "--data", n.data)
	do(2, "", "publish", "--from-line", "x")
	do(1, "", "publish", "--file", filepath.Join(t.TempDir(), "none"))
	do(5, "", "integrations", "list", "--token", "nonsense")
	reader := run(t, plain, nil, "", "token", "--data", n.data, "--tenant", "acme", "--scope", "integrations:read")
	do(5, `{"name":"order.created","payload":{}}`, "publish", "--token", strings.TrimSpace(reader.stdout))
	n.end()
	do(6, "", "integrations", "list")
	if code := endListener(); code != 0 {
		t.Errorf("the listener ended with %d", code)
	}
}

var listening = regexp.MustCompile(`Listening on (\S+?);`)

// listen starts `sluice listen`. It returns what it prints, its URL, and what
// ends it.
func listen(t *testing.T) (printed func() string, url string, end func() int) {
	t.Helper()
	var files [2]*os.File
	for i := range files {
		f, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		files[i] = f
	}
	read := func(f *os.File) string {
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	cmd := exec.Command(plain, "listen", "--port", "0", "--json", "--reject", "refund_request.declined")
	cmd.Env, cmd.Stdout, cmd.Stderr = environ(nil), files[0], files[1]
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-exited })
	until(t, "the listener listens", func() bool { return listening.MatchString(read(files[1])) })
	return func() string { return read(files[0]) }, listening.FindStringSubmatch(read(files[1]))[1], func() int {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-exited:
		case <-time.After(waitLimit):
			t.Fatal("the listener does not end")
		}
		return cmd.ProcessState.ExitCode()
	}
}
