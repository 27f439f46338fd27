package console

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/test/aws/stack"
)

// TestTypes has the compiler check the modules of the page against the types that are made from the
// document.
func TestTypes(t *testing.T) {
	t.Parallel()
	node := tool(t, "node")
	run(t, nil, node, tool(t, "node_modules/openapi-typescript/bin/cli.js"),
		filepath.Join(root, "api", "openapi.yaml"), "--output", filepath.Join(root, "internal", "console", "openapi.d.ts"))
	run(t, nil, node, tool(t, "node_modules/typescript/bin/tsc"), "--project", "tsconfig.json")
}

// TestBrowser plays each file of browser tests, with a node and a browser of its own. A file may
// be asked for by its name: go test -run TestBrowser/life.
func TestBrowser(t *testing.T) {
	node, browser := tool(t, "node"), chromium(t)
	tool(t, "node_modules/playwright-core")
	files, err := filepath.Glob("*.test.mjs")
	if err != nil || len(files) == 0 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(file, ".test.mjs"), func(t *testing.T) {
			t.Parallel()
			play(t, node, file, "CONSOLE_CHROMIUM="+browser, "CONSOLE_BINARY="+binary)
		})
	}
}

// firstScenario is what both shapes play.
const firstScenario = "life.test.mjs"

// TestFirstScenarioOnAWS plays it through the HTTP front of the AWS shape.
func TestFirstScenarioOnAWS(t *testing.T) {
	node, browser := tool(t, "node"), chromium(t)
	tool(t, "node_modules/playwright-core")
	s := stack.Deploy(t, stack.Options{Settings: map[string]string{
		"SLUICE_RETRY_MIN": "50ms", "SLUICE_RETRY_MAX": "500ms", "SLUICE_FOLLOW_BUDGET": "3s", "SLUICE_WEBHOOK_TIMEOUT": "2s",
	}})
	play(t, node, firstScenario, "CONSOLE_CHROMIUM="+browser,
		"CONSOLE_URL="+s.URL, "CONSOLE_TOKEN="+s.Token("acme", auth.Scopes()...))
	if t.Failed() {
		t.Logf("the functions' log:\n%s", s.Log())
	}
}

// play runs one file of tests by the runner of Node.js.
func play(t *testing.T, node, file string, env ...string) {
	t.Helper()
	run(t, env, node, "--test", "--test-reporter=spec", file)
}

// withoutSettings removes Sluice's variables, so that a node has the standard settings.
func withoutSettings(environ []string) []string {
	var kept []string
	for _, entry := range environ {
		if !strings.HasPrefix(entry, "SLUICE_") {
			kept = append(kept, entry)
		}
	}
	return kept
}
