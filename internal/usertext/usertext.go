// Package usertext has the rules for text that people type or paste: the same
// for every field of the API, for claims of access tokens and for the flags of
// the command line. Text is refused and never altered: a customer who is told of
// an invisible character removes it, one who is not looks for it for days.
//
// Errors continue a sentence about the field, as in "callback_url has an
// invisible character (U+200B) at position 12; remove it". Positions count
// characters, from 1. No error repeats the text, so the rules suit secrets too.
package usertext

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Check returns what is wrong with s as text: bytes that are not UTF-8, control
// characters, invisible characters, white space other than a plain space, and
// spaces at its ends. Empty text is not wrong.
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

// CheckHeader returns why s cannot be sent as it is in the value of an HTTP
// header: what Check refuses, and every character outside ASCII, to which RFC 9110
// gives no meaning there. Spaces within are part of a value. RFC 6750 lists fewer
// characters for a bearer token, but receivers in use expect others.
func CheckHeader(s string) error {
	if err := Check(s); err != nil {
		return err
	}
	position := 0
	for _, r := range s {
		position++
		if r > unicode.MaxASCII {
			return fmt.Errorf("has a character outside ASCII at position %d, which a header cannot carry; check how it was copied", position)
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

// fault returns what is wrong with one character, and the way out; "" if nothing.
func fault(r rune) (kind, advice string) {
	switch {
	case unicode.IsControl(r):
		return "a control character", "remove it"
	case unicode.In(r, invisible...) || r == brailleBlank:
		return "an invisible character", "remove it"
	case r != ' ' && unicode.Is(unicode.Z, r):
		return "a special space", "remove it, or write a plain space"
	case r == utf8.RuneError:
		return "a replacement character", "it stands for one that was lost; write that again"
	}
	return "", ""
}

// invisible is Unicode's Default_Ignorable_Code_Point, every other format
// character, and the code points that are not characters.
var invisible = []*unicode.RangeTable{
	unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, unicode.Noncharacter_Code_Point,
}

// brailleBlank is a symbol to Unicode, and nothing to the eye.
const brailleBlank = '\u2800'
