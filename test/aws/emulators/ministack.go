package emulators

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Ministack emulates all services that template.yaml uses, runs the functions, and
// enforces IAM policies and signatures.
type Ministack struct {
	Endpoint string // where its functions call services
	CAFile   string // PEM file of the authority that it trusts as a client
	Log      string // the file for its log; it keeps its files in the same folder
}

// ministackTries is how often it is started: another process may take the port that it
// found free.
const ministackTries = 3

// Start starts a ministack that ends with the test, and returns its URL. If it is not
// installed, the test is skipped, or fails if CI is set.
func (m Ministack) Start(t testing.TB) string {
	t.Helper()
	tools := Installed(t, "ministack", "ministack")
	python := filepath.Join(tools, "ministack", "venv", "bin", "python")
	c := command{
		args: []string{python, script(tools, "start_ministack.py"), m.Log},
		env:  []string{"AWS_ENDPOINT_URL=" + m.Endpoint, "SSL_CERT_FILE=" + m.CAFile, "TZ=UTC"},
	}
	var errs []error
	for range ministackTries {
		p, err := start(c)
		if err == nil {
			t.Cleanup(p.stop)
			return p.url
		}
		errs = append(errs, err)
	}
	log, _ := os.ReadFile(m.Log)
	t.Fatalf("ministack: %v\n%s", errors.Join(errs...), log[max(0, len(log)-kept):])
	return ""
}

// Installed returns the folder with the tools that `make aws-tools` installs. If one of
// the folders in it is not complete, the test is skipped, or fails if CI is set.
func Installed(t testing.TB, name string, folders ...string) string {
	t.Helper()
	tools, err := toolsDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		// The installation writes the stamp last.
		stamps, err := filepath.Glob(filepath.Join(tools, folder, "*.stamp"))
		if err == nil && len(stamps) > 0 {
			continue
		}
		problem := t.Skipf
		if os.Getenv("CI") != "" {
			problem = t.Fatalf
		}
		problem("%s is %v (there is no %s): run 'make aws-tools', which needs Python 3.11 or later and Node.js for it", name, errNotInstalled, folder)
	}
	return tools
}
