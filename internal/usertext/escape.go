package usertext

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
)

// Escape returns text for a terminal. What could control the terminal, or hide or
// reorder what it shows (control characters, also C1 and DEL, bidirectional controls,
// line breaks and everything else that is not printable), is written as JSON does,
// like \u001b. Bytes that are not UTF-8 become U+FFFD.
func Escape(s string) string { return escape(s, -1) }

// EscapeJSON is Escape for JSON documents, indented or one per line. They keep their
// line feeds and mean the same as before.
func EscapeJSON(documents []byte) []byte { return []byte(escape(string(documents), '\n')) }

func escape(s string, kept rune) string {
	if strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII || !plain(r, kept) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case plain(r, kept):
			b.WriteRune(r)
		case r > 0xFFFF: // JSON has no longer form
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func plain(r, kept rune) bool { return r == kept || unicode.IsPrint(r) }
