// Package test has the checks that belong to no single package: that imports point
// inwards, documents name what exists, and samples are valid.
package test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	root   = ".."
	module = "github.com/sluicehq/sluice/"
)

// domain are the packages that a reader can understand without knowing AWS, SQL or
// HTTP servers.
var domain = []string{
	"internal/delivery", "internal/estimate", "internal/event", "internal/eventlog", "internal/handoff",
	"internal/integration", "internal/lifecycle", "internal/problem",
	"internal/publish", "internal/pull", "internal/rejected", "internal/secret", "internal/sink",
	"internal/skip", "internal/standing", "internal/store", "internal/story", "internal/trial", "internal/usertext", "internal/worker",
}

// outer are the packages that the domain must not reach, directly or indirectly.
var outer = []string{
	"database/sql", "net/http", "modernc.org/", "github.com/aws/",
	module + "internal/httpapi", module + "internal/node",
	module + "internal/sink/catalog", module + "internal/sink/s3export", module + "internal/sink/webhook",
}

// uuidValue is allowed: it has only interfaces, which google/uuid implements.
const uuidValue = "database/sql/driver"

// sqliteUsers are the only packages that may import an SQLite adapter. The
// adapters may use each other.
var sqliteUsers = []string{"internal/node", "cmd/sluice"}

func TestDomainReachesNothingOutside(t *testing.T) {
	packages := goList(t)
	for _, name := range domain {
		p, ok := packages[module+name]
		if !ok {
			t.Errorf("%s does not exist; remove it from domain", name)
		}
		for _, dep := range p.deps {
			if dep == uuidValue {
				continue
			}
			if slices.ContainsFunc(outer, func(o string) bool { return within(dep, o) }) {
				t.Errorf("%s reaches %s", name, dep)
			}
		}
	}
}

func TestSQLiteStaysInTheNode(t *testing.T) {
	for path, p := range goList(t) {
		name := strings.TrimPrefix(path, module)
		if isSQLite(path) || slices.ContainsFunc(sqliteUsers, func(u string) bool { return within(name, u) }) {
			continue
		}
		if i := slices.IndexFunc(p.imports, isSQLite); i >= 0 {
			t.Errorf("%s imports %s", name, p.imports[i])
		}
		if i := slices.IndexFunc(p.deps, isSQLite); i >= 0 && within(name, "functions/") {
			t.Errorf("%s reaches %s", name, p.deps[i])
		}
	}
}

// programs are the released programs, each with the packages that must not be linked
// into it, in addition to test packages. Of AWS the binary needs only S3, for its
// customers; functions need neither a database nor the SDK's credential chain, which
// costs a megabyte and start-up time.
var programs = map[string][]string{
	"cmd/sluice":           {aws + "service/dynamodb", aws + "service/kinesis", "github.com/aws/aws-lambda-go/"},
	"cmd/redrive":          nil,
	"functions/api":        {sqlDriver, aws + "config"},
	"functions/fanout":     {sqlDriver, aws + "config"},
	"functions/advance":    {sqlDriver, aws + "config"},
	"functions/sweep":      {sqlDriver, aws + "config"},
	"functions/keepstream": {sqlDriver, aws + "config"},
}

const (
	aws       = "github.com/aws/aws-sdk-go-v2/"
	sqlDriver = "modernc.org/"
)

func TestProgramsLinkWhatTheyNeed(t *testing.T) {
	packages := goList(t)
	for name, forbidden := range programs {
		p, ok := packages[module+name]
		if !ok {
			t.Errorf("%s does not exist", name)
		}
		forbidden = append(forbidden, "testing", "github.com/google/go-cmp", "pgregory.net/rapid", module+"test/", module+"internal/sqlitedb/diskfault")
		for _, dep := range p.deps {
			if slices.ContainsFunc(forbidden, func(f string) bool { return within(dep, f) }) {
				t.Errorf("%s links %s", name, dep)
			}
		}
	}
}

// maxMain limits the lines of a function's main, which only starts what package
// awsenv has composed.
const maxMain = 40

func TestFunctionsAreThin(t *testing.T) {
	mains, err := filepath.Glob(filepath.Join(root, "functions", "*", "*.go"))
	if err != nil || len(mains) < 4 {
		t.Fatalf("found %d files in functions/, %v", len(mains), err)
	}
	for _, path := range mains {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(text, []byte("\n")); n > maxMain {
			t.Errorf("%s has %d lines, more than %d", path, n, maxMain)
		}
	}
}

// Tests may sleep only in a testing/synctest bubble, where it takes no time. Another
// file of the package may create the bubble.
func TestNoSleepsOutsideBubbles(t *testing.T) {
	sleeps, bubbles := map[string]string{}, map[string]bool{}
	tests := 0
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") || path == "test/arch_test.go" {
			return err
		}
		tests++
		text, err := os.ReadFile(filepath.Join(root, path))
		if bytes.Contains(text, []byte("time.Sleep(")) {
			sleeps[filepath.Dir(path)] = path
		}
		if bytes.Contains(text, []byte("synctest.Test(")) {
			bubbles[filepath.Dir(path)] = true
		}
		return err
	})
	if err != nil || tests < 10 {
		t.Errorf("looked at %d test files, %v", tests, err)
	}
	for dir, path := range sleeps {
		if !bubbles[dir] {
			t.Errorf("%s sleeps; use testing/synctest, or wait for a condition", path)
		}
	}
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		path, dir string
		want      bool
	}{
		{"net/http", "net/http", true},
		{"net/http/httptrace", "net/http", true},
		{"net/httpish", "net/http", false},
		{"github.com/aws/smithy-go", "github.com/aws/", true},
	} {
		if got := within(c.path, c.dir); got != c.want {
			t.Errorf("within(%q, %q) = %v", c.path, c.dir, got)
		}
	}
}

// within reports whether path is dir or lies below it.
func within(path, dir string) bool {
	dir = strings.TrimSuffix(dir, "/")
	return path == dir || strings.HasPrefix(path, dir+"/")
}

func isSQLite(path string) bool {
	if path == "modernc.org/sqlite" {
		return true
	}
	name, ours := strings.CutPrefix(path, module)
	return ours && strings.Contains(name, "sqlite")
}

type listed struct{ imports, deps []string }

// goList returns the packages of the module with their imports and dependencies,
// without test files.
func goList(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-f",
		`{{.ImportPath}}|{{join .Imports " "}}|{{join .Deps " "}}`, "./...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	packages := map[string]listed{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSpace(line), "|")
		packages[fields[0]] = listed{imports: strings.Fields(fields[1]), deps: strings.Fields(fields[2])}
	}
	return packages
}
