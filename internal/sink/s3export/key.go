package s3export

import (
	"strconv"
	"strings"
	"time"
)

// key returns a file's key: {prefix/}{tenant}/{epoch ms}-data-{random}.export
func (x *Exporter) key(created time.Time) string {
	return x.prefix + strconv.FormatInt(created.UnixMilli(), 10) + "-data-" + x.client.random() + ".export"
}

// keyPrefix returns the part of the key that all files of an integration share.
func keyPrefix(prefix, tenant string) string {
	if prefix != "" {
		prefix += "/"
	}
	return prefix + escapeTenant(tenant) + "/"
}

// escapeTenant turns a tenant, which comes from a token's claim and can contain
// anything, into one path segment. Letters, digits and - _ . @ stay; every other
// byte becomes %XX, so that two tenants never share a segment. In . and .. the
// first dot is escaped, because tools treat them as directories.
func escapeTenant(tenant string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(tenant) {
		c := tenant[i]
		dots := i == 0 && (tenant == "." || tenant == "..")
		if plain(c) && !dots {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.@", c) >= 0
}
