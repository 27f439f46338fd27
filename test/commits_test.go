package test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// checkedFrom is the commit after which subjects are checked: earlier ones predate
// the rule.
const checkedFrom = "06cc98f0546e"

const maxSubject = 72 // characters

var subjectPattern = regexp.MustCompile(`^[a-z][a-z0-9/, .-]*: \S.*[^.\s]$`)

// A commit subject is "area: what is different now", at most 72 characters long, as
// CONTRIBUTING.md requires.
func TestCommitSubjects(t *testing.T) {
	if _, err := os.Stat(root + "/.git"); err != nil {
		t.Skip("not a git checkout")
	}
	if git(t, "rev-parse", "--is-shallow-repository") == "true\n" {
		t.Skip("this clone is shallow; fetch the history with git fetch --unshallow")
	}
	for line := range strings.Lines(git(t, "log", "--no-merges", "--format=%h %s", checkedFrom+"..HEAD")) {
		hash, subject, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if problem := checkSubject(subject); problem != "" {
			t.Errorf("commit %s, %q: %s", hash, subject, problem)
		}
	}
}

func git(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", root}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v: %s", args[0], err, out)
	}
	return string(out)
}

func TestCheckSubject(t *testing.T) {
	for subject, good := range map[string]bool{
		"webhook: honour Retry-After dates":       true,
		"store/dynamo: one item a cursor":         true,
		"api, cli: refuse invisible characters":   true,
		"Honour dates":                            false,
		"webhook honours dates":                   false,
		"webhook: honour dates.":                  false,
		"webhook:":                                false,
		"webhook: " + strings.Repeat("long ", 13): false,
	} {
		if got := checkSubject(subject) == ""; got != good {
			t.Errorf("%q is accepted: %v, want %v", subject, got, good)
		}
	}
}

func checkSubject(subject string) string {
	switch {
	case len([]rune(subject)) > maxSubject:
		return "it is longer than 72 characters"
	case !subjectPattern.MatchString(subject):
		return `write it as "area: what is different now", without a full stop`
	}
	return ""
}
