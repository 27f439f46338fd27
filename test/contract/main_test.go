// Package contract holds api/openapi.yaml against what others make of it: clients that public
// generators write from it are compiled and used, and a public fuzzer tries the calls as the
// document describes them. All against the real binary. If `make contract-tools` has not installed
// the generators, their tests are skipped, or fail if CI is set.
package contract

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// What the tests run.
var (
	root   string // of the repository
	binary string // of sluice
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sluice-contract-")
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
	return m.Run()
}

// tool returns the path of an installed tool, and skips the test if it is not there.
func tool(t *testing.T, path string) string {
	t.Helper()
	full := filepath.Join(root, ".contract-tools", path)
	if _, err := os.Stat(full); err != nil {
		const message = "%s is not installed: run 'make contract-tools', which needs Python 3.11 with venv and pip"
		if os.Getenv("CI") != "" {
			t.Fatalf(message, path)
		}
		t.Skipf(message, path)
	}
	return full
}

// run runs a command in dir and returns what it wrote to standard output.
func run(t *testing.T, dir, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "PATH="+filepath.Join(root, ".contract-tools", "venv", "bin")+":"+os.Getenv("PATH"))
	out, err := cmd.Output()
	if err != nil {
		var stderr []byte
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			stderr = exit.Stderr
		}
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(name), args[:min(len(args), 1)], err, out, stderr) // later ones may be a token
	}
	return out
}
