package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// foreign are forms that bash, zsh and fish do not all take from a terminal.
var foreign = map[string]*regexp.Regexp{
	"a comment, which zsh runs as a command":              regexp.MustCompile(`(?m)(^|\s)#`),
	"a loop or condition, which fish ends with end":       regexp.MustCompile(`(?m)(^|[;&|]\s*)(for|while|until|if|case)\s`),
	"an assignment, which fish has with export":           regexp.MustCompile(`(?m)(^|[;&|]\s*)[A-Za-z_]+=`),
	"backticks, which fish does not know":                 regexp.MustCompile("`"),
	"a here document, which fish does not know":           regexp.MustCompile(`<<`),
	"a process substitution, which fish spells otherwise": regexp.MustCompile(`[<>]\(`),
}

// tour returns the commands of the README's tour, block by block.
func tour(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n## A tour")
	section, _, _ := strings.Cut(rest, "\n## ")
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllStringSubmatch(section, -1) {
		blocks = append(blocks, m[1])
	}
	if len(blocks) < 8 {
		t.Fatalf("the tour has %d blocks; the search for them is broken", len(blocks))
	}
	return blocks
}

// People paste the tour into the shell that they have.
func TestTourIsForEveryShell(t *testing.T) {
	for _, block := range tour(t) {
		for what, form := range foreign {
			if found := form.FindString(block); found != "" {
				t.Errorf("%q is %s, in\n%s", found, what, block)
			}
		}
		for shell, flags := range map[string][]string{"bash": {"-n"}, "zsh": {"-f", "-n"}, "fish": {"--no-config", "-n"}} {
			path, err := exec.LookPath(shell)
			if err != nil {
				continue // the forms above are what they refuse
			}
			cmd := exec.CommandContext(t.Context(), path, flags...)
			cmd.Stdin = strings.NewReader(block)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s, in\n%s", shell, err, out, block)
			}
		}
	}
}
