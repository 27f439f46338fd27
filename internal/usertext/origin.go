package usertext

import (
	"net/url"
	"strings"
)

// Origin returns where the calls of a URL go, as scheme, host and port, in one form
// for the same place: https://example.com:443. Names that only DNS knows to be the
// same, such as one with a trailing dot, have different origins.
func Origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	host := strings.ToLower(u.Hostname())
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return strings.ToLower(u.Scheme) + "://" + host + ":" + port
}

// ShortURL returns a URL as reasons, messages and logs show it. Paths and queries are
// often the secret by which a receiver knows its callers, so it keeps only the origin
// and, if more follows, the first segment of the path where that is a plain word:
// https://hooks.example.com/services/….
func ShortURL(u *url.URL) string {
	shown := u.Scheme + "://" + plainHost(u.Host)
	path := strings.TrimPrefix(u.EscapedPath(), "/")
	if path == "" && u.RawQuery == "" && u.Fragment == "" {
		return shown
	}
	if first, rest, _ := strings.Cut(path, "/"); rest != "" && plainWord(first) {
		shown += "/" + first
	}
	return shown + "/…"
}

// maxWord is the length of the longest segment that counts as a word.
const maxWord = 16

// plainWord reports whether a segment is a word that people chose, and no token.
func plainWord(s string) bool {
	return s != "" && len(s) <= maxWord && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-") == ""
}

// plainHost replaces what no host has: net/url lets markup pass.
func plainHost(host string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._:[]%", r) {
			return r
		}
		return '?'
	}, host)
}
