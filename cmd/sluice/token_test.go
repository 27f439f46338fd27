package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// A newly generated key is probably not the node's: standard error says so.
func TestTokenTellsOfANewKey(t *testing.T) {
	cli := &cli{t: t}
	dir := filepath.Join(t.TempDir(), "data")
	for _, want := range []string{"generated a new key in " + filepath.Join(dir, "token.key") + "; a node with another data directory will not accept this token\n", ""} {
		code, stdout, stderr := cli.run(nil, "token", "--data", dir, "--tenant", "acme")
		if code != exitOK || stderr != want || strings.Count(stdout, ".") != 2 || strings.Count(stdout, "\n") != 1 {
			t.Errorf("exit code %d, %q, %q; want %q", code, stdout, stderr, want)
		}
	}
}
