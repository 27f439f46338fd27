// Package e2e has the tests that start the real binary: the scenarios that
// every shape must pass, what happens when it is killed or ended, and its bad
// days.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The binaries. Under the race detector most tests use one that has it too.
var (
	plain   string
	checked string
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

// atOnce is how many tests run at a time. They wait more than they compute.
const atOnce = "16"

func testMain(m *testing.M) int {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		panic(err)
	}
	if inNamespace() {
		plain, checked = os.Getenv(binaryVariable), os.Getenv(binaryVariable)
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "sluice-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	plain = filepath.Join(dir, "sluice")
	checked = plain
	err = build(plain, "CGO_ENABLED=0", "-trimpath") // as make build does
	if err == nil && raceDetector {
		checked = filepath.Join(dir, "sluice-race")
		err = build(checked, "CGO_ENABLED=1", "-race")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(path, env string, flags ...string) error {
	args := append([]string{"build", "-o", path}, flags...)
	cmd := exec.Command("go", append(args, "github.com/sluicehq/sluice/cmd/sluice")...)
	cmd.Env = append(os.Environ(), env)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}
