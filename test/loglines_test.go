package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Operators search the logs for what the runbook says, so the messages, keys and
// metrics in it must be those that the code writes.
func TestRunbookNamesWhatIsLogged(t *testing.T) {
	runbook, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	literals := stringsInCode(t)
	named := 0
	for _, want := range loggedNames(string(runbook)) {
		named++
		found := slices.ContainsFunc(literals, func(s string) bool {
			return s == want.text || want.part && strings.Contains(s, want.text)
		})
		if !found {
			t.Errorf("docs/operations.md names %q, which is no string in the code", want.text)
		}
	}
	if named < 15 {
		t.Errorf("found only %d messages, keys and metrics in the runbook; the search for them is broken", named)
	}
}

// The first column of the node's table is a message, or the beginning of one.
func TestNodePageNamesWhatIsLogged(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "node.md"))
	if err != nil {
		t.Fatal(err)
	}
	literals, named := stringsInCode(t), 0
	for line := range strings.Lines(chapter(string(page), "Logs")) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || strings.TrimSpace(cells[1]) == "`msg`" {
			continue
		}
		for _, m := range messagePattern.FindAllStringSubmatch(cells[1], -1) {
			named++
			text, part := strings.CutSuffix(m[1], "…")
			if !slices.ContainsFunc(literals, func(s string) bool { return s == text || part && strings.HasPrefix(s, strings.TrimSpace(text)) }) {
				t.Errorf("docs/node.md names %q, which is no string in the code", m[1])
			}
		}
	}
	if named < 10 {
		t.Errorf("found only %d messages; the search for them is broken", named)
	}
}

var messagePattern = regexp.MustCompile("`([^`]+)`")

func TestLoggedNames(t *testing.T) {
	got := loggedNames("## Metrics\n\n| `EventsSent`, `Lag` | count | `api` |\n\nOf AWS's own: `IteratorAge`\n\n## Logs\n\n" +
		"| `msg = \"it broke\"`, `\"it works\"` | x | `took_ms` |\n| `msg like \"a part\"` | x | `error` |\n\nA `SLUICE_X` for `others`.\n\n## More\n\n| `not_this` |\n")
	want := []loggedName{{"EventsSent", false}, {"Lag", false}, {"it broke", false}, {"it works", false}, {"took_ms", false}, {"a part", true}, {"error", false}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// loggedName is a text that is a string in the code, or part of one.
type loggedName struct {
	text string
	part bool
}

var (
	loggedQuoted = regexp.MustCompile(`(like )?"([^"…]+)"`)
	loggedKey    = regexp.MustCompile("`([a-z]+(?:_[a-z]+)*)(?: = \"…\")?`")
	metricName   = regexp.MustCompile("`([A-Z][A-Za-z]+)`")
)

// loggedNames returns the names in the tables of the chapters Metrics and Logs: the
// first column for metrics, quoted messages and keys for logs.
func loggedNames(doc string) []loggedName {
	var names []loggedName
	for line := range strings.Lines(chapter(doc, "Metrics")) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, m := range metricName.FindAllStringSubmatch(cells[1], -1) {
				names = append(names, loggedName{m[1], false})
			}
		}
	}
	for line := range strings.Lines(chapter(doc, "Logs")) {
		if !strings.HasPrefix(line, "| `") || strings.HasPrefix(line, "| `level = ") { // levels are defined by package slog
			continue
		}
		for _, m := range loggedQuoted.FindAllStringSubmatch(line, -1) {
			names = append(names, loggedName{m[2], m[1] != ""})
		}
		for _, m := range loggedKey.FindAllStringSubmatch(line, -1) {
			names = append(names, loggedName{m[1], false})
		}
	}
	return names
}

// chapter returns the text below a second-level heading.
func chapter(doc, name string) string {
	_, text, _ := strings.Cut(doc, "\n## "+name+"\n")
	if strings.HasPrefix(doc, "## "+name+"\n") {
		text = doc
	}
	text, _, _ = strings.Cut(strings.TrimPrefix(text, "## "+name), "\n## ")
	return text
}

// stringsInCode returns the string literals of all code except tests.
func stringsInCode(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(filepath.Join(root, "internal"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if s, err := strconv.Unquote(literal.Value); err == nil {
					all = append(all, s)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
