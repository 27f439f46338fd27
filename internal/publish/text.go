package publish

import (
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// isUUID reports whether s has the common form of a UUID: 36 characters, in
// either case, of whatever version.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
	}
	return true
}

// quote is a caller's text for a message, cut where it is long.
func quote(s string) string {
	const longest = 100
	if len(s) <= longest {
		return strconv.Quote(s)
	}
	end := longest
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return strconv.Quote(s[:end] + "…")
}

// compact takes the white space out of valid JSON, in place. All else stays
// byte for byte.
func compact(value *[]byte) error { return (*jsontext.Value)(value).Compact() }
