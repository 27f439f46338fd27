package usertext

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// wantErrors checks each text, and fails unless it gets the wanted error; "" is none.
func wantErrors(t *testing.T, check func(string) error, wanted map[string]string) {
	t.Helper()
	for text, want := range wanted {
		got := ""
		if err := check(text); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	wantErrors(t, Check, map[string]string{
		"":                  "",
		"a":                 "",
		"a b":               "",
		"é中😀~":              "",
		"e\u0301":           "", // a combining accent is seen
		"a\u200bb":          "has an invisible character (U+200B) at position 2; remove it",
		"é\u200db":          "has an invisible character (U+200D) at position 2; remove it",
		"\ufeffa":           "has an invisible character (U+FEFF) at position 1; remove it",
		"a\u00ad":           "has an invisible character (U+00AD) at position 2; remove it",
		"\u202eabc":         "has an invisible character (U+202E) at position 1; remove it",
		"a\u2066b":          "has an invisible character (U+2066) at position 2; remove it",
		"a\u2060b":          "has an invisible character (U+2060) at position 2; remove it",
		"a\u061cb":          "has an invisible character (U+061C) at position 2; remove it",
		"a\u180eb":          "has an invisible character (U+180E) at position 2; remove it",
		"a\u034fb":          "has an invisible character (U+034F) at position 2; remove it",
		"a\u3164b":          "has an invisible character (U+3164) at position 2; remove it",
		"a\u2800b":          "has an invisible character (U+2800) at position 2; remove it",
		"a\ufe0fb":          "has an invisible character (U+FE0F) at position 2; remove it",
		"a\U000e0041b":      "has an invisible character (U+E0041) at position 2; remove it",
		"a\ufffeb":          "has an invisible character (U+FFFE) at position 2; remove it",
		"a\u00a0b":          "has a special space (U+00A0) at position 2; remove it, or write a plain space",
		"a\u202f":           "has a special space (U+202F) at position 2; remove it, or write a plain space",
		"\u3000a":           "has a special space (U+3000) at position 1; remove it, or write a plain space",
		"a\u2028b":          "has a special space (U+2028) at position 2; remove it, or write a plain space",
		"a\x00b":            "has a control character (U+0000) at position 2; remove it",
		"a\tb":              "has a control character (U+0009) at position 2; remove it",
		"a\r\n":             "has a control character (U+000D) at position 2; remove it",
		"a\x7fb":            "has a control character (U+007F) at position 2; remove it",
		"a\u0085b":          "has a control character (U+0085) at position 2; remove it",
		"aé\xffb":           "has a byte (0xFF) at position 3 that is not UTF-8; send it in UTF-8",
		"a\xed\xa0\x80b":    "has a byte (0xED) at position 2 that is not UTF-8; send it in UTF-8", // a lone surrogate
		"a\xc0\x80":         "has a byte (0xC0) at position 2 that is not UTF-8; send it in UTF-8", // a long form of NUL
		"a\ufffdb":          "has a replacement character (U+FFFD) at position 2; it replaces a character that was lost; enter that again",
		" a":                "begins with a space; remove it",
		"a ":                "ends with a space; remove it",
		" ":                 "begins with a space; remove it",
		"a \u200b":          "has an invisible character (U+200B) at position 3; remove it",
		"secret \u200b key": "has an invisible character (U+200B) at position 8; remove it",
	})
}

func TestCheckHeader(t *testing.T) {
	wantErrors(t, CheckHeader, map[string]string{
		"a key":            "",
		"1|aB~!{}\"\\=":    "",
		"clé":              "has a character outside ASCII at position 3, which a header cannot contain; check how it was copied",
		"\u201ckey\u201d":  "has a character outside ASCII at position 1, which a header cannot contain; check how it was copied",
		"key\n":            "has a control character (U+000A) at position 4; remove it",
		"ke\u200by":        "has an invisible character (U+200B) at position 3; remove it",
		"key ":             "ends with a space; remove it",
		"k\u00a0y":         "has a special space (U+00A0) at position 2; remove it, or write a plain space",
		"Bearer key\x1b[m": "has a control character (U+001B) at position 11; remove it",
	})
}

func FuzzCheckHeader(f *testing.F) {
	f.Add("a key")
	f.Add("\u200b\xff ")
	f.Fuzz(func(t *testing.T, s string) {
		if CheckHeader(s) != nil {
			return
		}
		if strings.TrimSpace(s) != s || !utf8.ValidString(s) || strings.Trim(s, " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~") != "" {
			t.Errorf("CheckHeader(%q) = nil", s)
		}
	})
}

func TestParseURL(t *testing.T) {
	for raw, want := range map[string]string{
		"https://h.example/a?b=c&d":         "https://h.example/a?b=c&d",
		"https://h.example/hook?team=a b":   "https://h.example/hook?team=a%20b",
		"https://h.example/café?ü":          "https://h.example/caf%C3%A9?%C3%BC",
		"https://h.example/100%/x?p=50%&q":  "https://h.example/100%25/x?p=50%25&q",
		"https://h.example/%zz%4":           "https://h.example/%25zz%254",
		"https://h.example/a%2Fb?c=%e2%82":  "https://h.example/a%2Fb?c=%e2%82",
		"https://h.example/{id}?q={a|b}^`":  "https://h.example/%7Bid%7D?q=%7Ba%7Cb%7D%5E%60",
		`https://h.example/?q=a\b"<>`:       "https://h.example/?q=a%5Cb%22%3C%3E",
		"https://h.example?filter[a]=1":     "https://h.example?filter%5Ba%5D=1",
		"HTTPS://EXAMPLE.com.:8443/A?B":     "https://EXAMPLE.com.:8443/A?B",
		"https://[2001:db8::1]:8443/a b":    "https://[2001:db8::1]:8443/a%20b",
		"https://h.example/?to=http://o/x?": "https://h.example/?to=http://o/x?",
	} {
		u, err := ParseURL(raw)
		if err != nil || u.String() != want {
			t.Errorf("ParseURL(%q) = %v, %v; want %q", raw, u, err, want)
		}
	}
	for _, raw := range []string{"https://ex ample.com/", "https://h%/", "https://h{}/", `https://h\hook/`, "https://h|/", "https://[::1/"} {
		if u, err := ParseURL(raw); err == nil && u.Hostname() != "" {
			t.Errorf("ParseURL(%q) = %v, want an error", raw, u)
		}
	}
}

// What a request line is made of has nothing in it that ends it early, and
// reading it again changes nothing.
func FuzzParseURL(f *testing.F) {
	f.Add("https://h/a b?c d%")
	f.Add("http://h?%%41é#é")
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := ParseURL(raw)
		if err != nil || u.Scheme == "" || u.Host == "" {
			return
		}
		line := u.RequestURI()
		if strings.ContainsFunc(line, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			t.Errorf("ParseURL(%q) has the request URI %q", raw, line)
		}
		if again, err := ParseURL(u.String()); err != nil || again.RequestURI() != line {
			t.Errorf("ParseURL(%q): %q, and read again %v, %v", raw, line, again, err)
		}
	})
}

func TestClip(t *testing.T) {
	for text, want := range map[string]string{
		"short":         "short",
		"exactly te":    "exactly te",
		"more than ten": "more than …",
		"ééééééééééé":   "éééééééééé…",
		"a\xffb":        "a\uFFFDb",
	} {
		if got := Clip(text, 10); got != want {
			t.Errorf("Clip(%q) = %q, want %q", text, got, want)
		}
	}
}
