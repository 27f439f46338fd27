package usertext

import (
	"net/url"
	"strings"
)

// ParseURL parses a URL as people write it. In path, query and fragment it
// percent-encodes what RFC 3986 does not allow there: characters outside ASCII (as
// UTF-8), spaces, brackets and the like, and a percent sign that starts no escape.
// Existing escapes are kept. Use the result for requests; store and show the original
// text.
func ParseURL(raw string) (*url.URL, error) {
	start := authorityEnd(raw)
	rest := raw[start:]
	var b strings.Builder
	b.WriteString(raw[:start])
	for i := range len(rest) {
		if allowed(rest, i) {
			b.WriteByte(rest[i])
			continue
		}
		const hex = "0123456789ABCDEF"
		b.Write([]byte{'%', hex[rest[i]>>4], hex[rest[i]&15]})
	}
	return url.Parse(b.String())
}

// authorityEnd returns the end of host and port. Nothing before it is encoded,
// because an escape would change the host.
func authorityEnd(raw string) int {
	_, after, found := strings.Cut(raw, "://")
	if !found {
		return len(raw)
	}
	if end := strings.IndexAny(after, "/?#"); end >= 0 {
		return len(raw) - len(after) + end
	}
	return len(raw)
}

// allowed reports whether RFC 3986 allows the byte s[i] unescaped.
func allowed(s string, i int) bool {
	switch c := s[i]; {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	case c == '%':
		return i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2])
	default:
		return strings.IndexByte("-._~!$&'()*+,;=:@/?#", c) >= 0
	}
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
