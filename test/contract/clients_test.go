package contract

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/client"
)

// What each program publishes as the payload of an order.created.
const payload = `{"order": 1, "lines": [{"sku": "a-1", "price": 19.5, "gift": false, "note": null}]}`

// TestClientOfOpenAPITypeScript has the compiler check the program against the types that are
// made from the document.
func TestClientOfOpenAPITypeScript(t *testing.T) {
	t.Parallel()
	modules, node := tool(t, "node_modules"), tool(t, "venv/bin/node")
	dir := copyOf(t, "typescript")
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	run(t, dir, node, filepath.Join(modules, "openapi-typescript", "bin", "cli.js"), document(), "--output", "sluice.d.ts")
	run(t, dir, node, filepath.Join(modules, "typescript", "bin", "tsc"))
	try(t, dir, node, "program.mjs")
}

// TestClientOfOpenAPIPythonClient fails if the generator leaves out what it cannot express, a
// warning to it.
func TestClientOfOpenAPIPythonClient(t *testing.T) {
	t.Parallel()
	python := tool(t, "venv/bin/python")
	dir := copyOf(t, "python")
	run(t, dir, python, "-m", "openapi_python_client", "generate", "--path", document(),
		"--config", "generator.yaml", "--meta", "none", "--output-path", "sluice", "--fail-on-warning")
	run(t, dir, python, "-m", "compileall", "-q", "sluice")
	try(t, dir, python, "-W", "error", "program.py")
}

func TestClientOfOAPICodegen(t *testing.T) {
	t.Parallel()
	generator := tool(t, "go/oapi-codegen")
	dir := copyOf(t, "go")
	run(t, dir, generator, "-config", "generator.yaml", document())
	run(t, dir, "go", "build", "-o", "program", ".")
	try(t, dir, filepath.Join(dir, "program"))
}

func document() string { return filepath.Join(root, "api", "openapi.yaml") }

// copyOf returns a copy of a folder of testdata, for the code that is generated beside the program.
func copyOf(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// try runs a program against a node: it publishes an event, registers the integration made and
// reads it back, reads its health, and lists the rejected events of the integration refusing.
func try(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	n := startNode(t)
	token := n.token(t, "acme", "integrations:write", "events:publish")
	c, err := client.New(n.url, token, false)
	if err != nil {
		t.Fatal(err)
	}
	rejected := refuse(t, c, "refusing")
	out := string(run(t, dir, name, append(args, n.url, token)...))
	want := regexp.MustCompile("^published 1\n" +
		"made made running permanent http://receiver\\.example/hooks\n" +
		"health (healthy|catching_up)\n" +
		"rejected order\\.refused rejected 400 " + regexp.QuoteMeta(rejected.CreatedAt) + "\n$")
	if !want.MatchString(out) {
		t.Errorf("the program wrote\n%swhich does not match\n%s", out, want)
	}
	hasPayload(t, c)
}

// refuse registers an integration, and returns the event that its receiver has rejected.
func refuse(t *testing.T, c *client.Client, id string) client.RejectedEvent {
	t.Helper()
	if _, err := c.Create(t.Context(), map[string]any{
		"id": id, "integration_type": "permanent",
		"callback_parameters": map[string]any{"callback_url": "http://receiver.example/refusing"},
	}); err != nil {
		t.Fatal(err)
	}
	const event = `{"id": "01890a5d-ac96-774b-bcce-b302099a8057", "name": "order.refused", "payload": {}}`
	if _, err := c.Publish(t.Context(), []byte(event)); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(2 * time.Minute)
	for {
		events, _, err := c.RejectedEvents(t.Context(), id, 1, "")
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 1 {
			return events[0]
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatal("no event is rejected")
		}
	}
}

// hasPayload fails unless what the program published has arrived as it was.
func hasPayload(t *testing.T, c *client.Client) {
	t.Helper()
	page, err := c.Pull(t.Context(), "refusing", "earliest", 10, 0)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(page.Lines)), "\n")
	var event struct {
		Name    string
		Payload any
	}
	var want any
	for text, into := range map[string]any{lines[len(lines)-1]: &event, payload: &want} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	if event.Name != accepted || !reflect.DeepEqual(event.Payload, want) {
		t.Errorf("published was %+v, want the payload %v", event, want)
	}
}
