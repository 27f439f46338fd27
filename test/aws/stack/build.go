package stack

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
)

// names are the names of the functions and of their folders in functions/ and
// build/.
var names = []string{"api", "fanout", "advance", "sweep", "keepstream"}

// Names returns the names of the functions.
func Names() []string { return slices.Clone(names) }

// builtIn is the folder of the built functions, for RemoveBuilt.
var builtIn string

// bootstraps builds the functions for this machine, once per process, with the race
// detector if the tests use it.
var bootstraps = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sluice-functions-")
	if err != nil {
		return "", err
	}
	builtIn = dir
	for _, name := range names {
		if err := buildOne(name, filepath.Join(dir, name, "bootstrap")); err != nil {
			return dir, err
		}
	}
	return dir, nil
})

func buildOne(name, path string) error {
	args := []string{"build", "-tags", "lambda.norpc", "-trimpath", "-o", path}
	cgo := "CGO_ENABLED=0"
	if raceDetector {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	cmd := exec.Command("go", append(args, "github.com/sluicehq/sluice/functions/"+name)...) //nolint:noctx // it ends by itself
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build functions/%s: %w\n%s", name, err, out)
	}
	return nil
}

// RemoveBuilt removes the built functions. Call it in TestMain.
func RemoveBuilt() {
	if builtIn != "" {
		_ = os.RemoveAll(builtIn)
	}
}
