package usertext

import "testing"

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{
		"a-b_c./d9": "a-b_c./d9",
		"env:A":     "env:A",
		"a b":       "'a b'",
		"it's":      `'it'\''s'`,
		"":          "''",
		"$(x)":      "'$(x)'",
	} {
		if got := ShellWord(in); got != want {
			t.Errorf("ShellWord(%q) = %s, want %s", in, got, want)
		}
	}
}
