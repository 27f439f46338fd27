package webhook

import (
	"net/url"
	"strings"
)

// parseTarget parses a callback_url for the request line: without its fragment,
// and with path and query encoded. A receiver's HTTP server answers 400 by
// itself to a request line that it cannot read, which would count as the
// receiver rejecting the event.
func parseTarget(raw string) (*url.URL, error) {
	raw, _, _ = strings.Cut(raw, "#")
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return url.Parse(raw)
	}
	host := rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		host = rest[:i]
	}
	return url.Parse(scheme + "://" + host + encodeTarget(rest[len(host):]))
}

// encodeTarget percent-encodes the bytes that RFC 3986 does not allow in a path
// and a query, and a percent sign that begins no escape. The rest stays as it is.
func encodeTarget(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		if c := s[i]; allowed(c) || c == '%' && escapes(s[i+1:]) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// allowed tells if a byte is a pchar of RFC 3986, but for the percent sign, or
// one of the two that part path and query.
func allowed(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	default:
		return strings.IndexByte("-._~!$&'()*+,;=:@/?", c) >= 0
	}
}

// escapes tells if two hexadecimal digits come next.
func escapes(s string) bool {
	return len(s) >= 2 && isHex(s[0]) && isHex(s[1])
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
