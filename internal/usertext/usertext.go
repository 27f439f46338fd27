// Package usertext validates text that people type or paste, by the same rules for
// the fields of the API, the claims of access tokens and the flags of the command
// line. It refuses text and never alters it: finding an unreported
// invisible character can take a customer days.
//
// Errors complete a sentence about the field: "callback_url has an invisible
// character (U+200B) at position 12; remove it". Positions count characters, from 1.
// Errors never contain the text, so the rules apply to secrets too.
package usertext

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Check returns an error if s contains invalid UTF-8, control characters, invisible
// characters, white space other than U+0020, or a leading or trailing space. Empty
// text is valid.
func Check(s string) error {
	position := 0
	for i, r := range s {
		position++
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD") {
			return fmt.Errorf("has a byte (0x%02X) at position %d that is not UTF-8; send it in UTF-8", s[i], position)
		}
		if kind, advice := fault(r); kind != "" {
			return fmt.Errorf("has %s (U+%04X) at position %d; %s", kind, r, position, advice)
		}
	}
	switch {
	case strings.HasPrefix(s, " "):
		return errors.New("begins with a space; remove it")
	case strings.HasSuffix(s, " "):
		return errors.New("ends with a space; remove it")
	}
	return nil
}

// CheckHeader returns an error if s cannot be sent unchanged in the value of an HTTP
// header: if Check refuses it, or if it contains characters outside ASCII, which have
// no meaning there (RFC 9110). Inner spaces are allowed. RFC 6750 allows fewer
// characters in a bearer token, but existing receivers expect others.
func CheckHeader(s string) error {
	if err := Check(s); err != nil {
		return err
	}
	position := 0
	for _, r := range s {
		position++
		if r > unicode.MaxASCII {
			return fmt.Errorf("has a character outside ASCII at position %d, which a header cannot contain; check how it was copied", position)
		}
	}
	return nil
}

// Clip shortens text for a message or a log line to so many characters, and
// replaces what is not UTF-8.
func Clip(s string, most int) string {
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// fault returns what is wrong with a character and what to do, or "".
func fault(r rune) (kind, advice string) {
	switch {
	case ' ' <= r && r <= '~': // most text: the tables below take a tenth of the time of a publish
		return "", ""
	case unicode.IsControl(r):
		return "a control character", "remove it"
	case unicode.In(r, invisible...) || r == brailleBlank:
		return "an invisible character", "remove it"
	case r != ' ' && unicode.Is(unicode.Z, r):
		return "a special space", "remove it, or write a plain space"
	case r == utf8.RuneError:
		return "a replacement character", "it replaces a character that was lost; enter that again"
	}
	return "", ""
}

// invisible is Unicode's Default_Ignorable_Code_Point, every other format
// character, and the code points that are not characters.
var invisible = []*unicode.RangeTable{
	unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, unicode.Noncharacter_Code_Point,
}

// brailleBlank is a symbol in Unicode but looks like a space.
const brailleBlank = '\u2800'
