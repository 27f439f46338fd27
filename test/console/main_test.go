// Package console tests the web console: the types of its modules against api/openapi.yaml, and the
// page in headless Chromium, driven by the modules beside this file, against the real binary and, for
// the first scenario, against the AWS shape. If `make console-tools` has not installed what that
// needs, the tests are skipped, or fail if CI is set.
package console

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sluicehq/sluice/test/aws/emulators"
	"github.com/sluicehq/sluice/test/aws/stack"
)

// What the tests run.
var (
	root   string // of the repository
	binary string // of sluice
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sluice-console-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if root, err = filepath.Abs("../.."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(dir, "sluice")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "./cmd/sluice")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	defer stack.RemoveBuilt()
	return emulators.Run(m)
}

// tool returns the path of an installed tool, and skips the test if it is not there.
func tool(t *testing.T, path string) string {
	t.Helper()
	full := filepath.Join(root, ".console-tools", path)
	if _, err := os.Stat(full); err != nil {
		lack(t, path+" is not installed: run 'make console-tools', which needs Node.js 20")
	}
	return full
}

// chromium returns the path of the browser, and skips the test if there is none.
func chromium(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		lack(t, "there is no command chromium: install the package of that name")
	}
	return path
}

func lack(t *testing.T, message string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(message)
	}
	t.Skip(message)
}

// run runs a command in this folder, with these variables and without any of Sluice's own, and
// fails the test with what it wrote if it fails.
func run(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(withoutSettings(os.Environ()), env...)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}
