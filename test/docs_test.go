package test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// planned are paths that documents mention before they exist. Remove a path from the
// list once it exists.
var planned = []string{}

// made are paths that a build or a run creates, so that they are not in a checkout.
var made = []string{"bin", "build", ".sluice", ".aws-tools", ".contract-tools", ".console-tools", "cover.out"}

// Every path and every make target that a document names exists.
func TestDocumentsNameWhatExists(t *testing.T) {
	targets := makeTargets(t)
	for _, p := range planned {
		if exists(p) {
			t.Errorf("%s exists; remove it from planned", p)
		}
	}
	named := 0
	for _, doc := range documents(t) {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		code, links := mentions(string(text))
		for _, target := range namedTargets(code) {
			named++
			if !slices.Contains(targets, target) {
				t.Errorf("%s names `make %s`, which does not exist", doc, target)
			}
		}
		for _, path := range namedPaths(code) {
			named++
			if !slices.Contains(planned, path) && !exists(path) {
				t.Errorf("%s names %s, which does not exist", doc, path)
			}
		}
		for _, link := range links {
			named++
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), link)); err != nil {
				t.Errorf("%s links to %s, which does not exist", doc, link)
			}
		}
	}
	if named < 10 {
		t.Errorf("found only %d paths and targets in the documents; the search for them is broken", named)
	}
}

func TestMentions(t *testing.T) {
	code, links := mentions("Make sure `internal/event` and `make test` work, see [x](docs/a.md#b) and [y](https://z).\n```sh\n$ make run # comment\ncat cmd/sluice/main.go events/samples/*.ndjson\n```\nmake it so: docs/not-code\n")
	if got, want := namedTargets(code), []string{"run", "test"}; !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("targets %q, want %q", got, want)
	}
	if got, want := namedPaths(code), []string{"cmd/sluice/main.go", "events/samples/*.ndjson", "internal/event"}; !slices.Equal(slices.Sorted(slices.Values(got)), want) {
		t.Errorf("paths %q, want %q", got, want)
	}
	if want := []string{"docs/a.md"}; !slices.Equal(links, want) {
		t.Errorf("links %q, want %q", links, want)
	}
}

func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/adr/*.md", "events/samples/*.md", "examples/receivers/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

var (
	fencePattern  = regexp.MustCompile("(?ms)^```[a-z]*\n(.*?)^```")
	spanPattern   = regexp.MustCompile("`([^`\n]+)`")
	linkPattern   = regexp.MustCompile(`\]\(([^)\s#]+)[^)]*\)`)
	makePattern   = regexp.MustCompile(`(?m)^\s*(?:\$ )?make ([a-z][a-z-]*)`)
	pathPattern   = regexp.MustCompile(`^(?:\./)?([A-Za-z0-9_.-]+)(/[A-Za-z0-9_.*-]+)*/?$`)
	targetPattern = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)
)

// mentions returns a document's code, in spans and fences, and its relative links.
func mentions(text string) (code, links []string) {
	for _, m := range fencePattern.FindAllStringSubmatch(text, -1) {
		code = append(code, m[1])
	}
	text = fencePattern.ReplaceAllString(text, "")
	for _, m := range spanPattern.FindAllStringSubmatch(text, -1) {
		code = append(code, m[1])
	}
	for _, m := range linkPattern.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(m[1], ":") {
			links = append(links, m[1])
		}
	}
	return code, links
}

func namedTargets(code []string) []string {
	var targets []string
	for _, c := range code {
		for _, m := range makePattern.FindAllStringSubmatch(c, -1) {
			targets = append(targets, m[1])
		}
	}
	return targets
}

// namedPaths returns the words of code that are paths in this repository: those that
// start with one of its folders, and the names of documents.
func namedPaths(code []string) []string {
	var paths []string
	for _, word := range strings.Fields(strings.Join(code, "\n")) {
		m := pathPattern.FindStringSubmatch(word)
		if m == nil || slices.Contains(made, m[1]) {
			continue
		}
		deep := m[2] != "" && slices.Contains(folders, m[1])
		if deep || filepath.Ext(word) == ".md" || word == "Makefile" || word == ".ci/run" {
			paths = append(paths, word)
		}
	}
	return paths
}

// folders are the top-level folders of the designed tree. A removed folder stays in
// the list, so that mentions of it are found.
var folders = []string{"api", "bench", "cmd", "docs", "events", "examples", "functions", "infra", "internal", "model", "statemachine", "test", ".ci"}

func makeTargets(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, m := range targetPattern.FindAllStringSubmatch(string(text), -1) {
		targets = append(targets, m[1])
	}
	return targets
}

func exists(path string) bool {
	found, err := filepath.Glob(filepath.Join(root, path))
	return err == nil && len(found) > 0
}
