package usertext

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
)

func TestEscapeLeavesNothingThatControlsATerminal(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"order \\ é中😀 e\u0301":      "order \\ é中😀 e\u0301",
		"a\x1b[2Jb":                 `a\u001b[2Jb`,
		"a\x07\r\n\tb":              `a\u0007\u000d\u000a\u0009b`,
		"a\x7fb":                    `a\u007fb`,
		"a\u009b31mb\u0080\u009f":   `a\u009b31mb\u0080\u009f`,
		"\u202etxt.exe\u202c":       `\u202etxt.exe\u202c`,
		"\u2066a\u2069\u200f\u061c": `\u2066a\u2069\u200f\u061c`,
		"a\u200bb\ufeff":            `a\u200bb\ufeff`,
		"a\u2028b":                  `a\u2028b`,
		"a\U000e0041b":              `a\udb40\udc41b`,
		"a\x9b31mb\xff":             "a\uFFFD31mb\uFFFD", // C1 as a terminal without UTF-8 reads it
	} {
		if got := Escape(text); got != want {
			t.Errorf("Escape(%q) = %q, want %q", text, got, want)
		}
	}
}

// JSON keeps its meaning and its lines.
func FuzzEscapeJSON(f *testing.F) {
	f.Add("a\u009b31m \\\x7f \u202e \U000e0041 \\u001b \"\n")
	f.Add("\xff\x9b")
	f.Fuzz(func(t *testing.T, s string) {
		document, err := json.MarshalIndent(map[string]string{s: s}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		escaped := EscapeJSON(document)
		var want, got any
		if err := json.Unmarshal(document, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(escaped, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q became %q, %v", document, escaped, err)
		}
		if strings.Count(string(escaped), "\n") != 2 {
			t.Errorf("%q is not on three lines", escaped)
		}
		for _, text := range []string{string(escaped), Escape(s)} {
			if strings.ContainsFunc(strings.ReplaceAll(text, "\n", ""), func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q has what does not print", text)
			}
		}
	})
}
