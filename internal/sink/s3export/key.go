package s3export

import (
	"strconv"
	"strings"
	"time"
)

// key is the name of a file: {prefix/}{tenant}/{epoch ms}-data-{random}.export
func (x *Exporter) key(created time.Time) string {
	return x.prefix + strconv.FormatInt(created.UnixMilli(), 10) + "-data-" + x.client.random() + ".export"
}

// keyPrefix is the part of a key that all files of an integration share.
func keyPrefix(prefix, tenant string) string {
	if prefix != "" {
		prefix += "/"
	}
	return prefix + escapeTenant(tenant) + "/"
}

// escapeTenant makes one path segment of a tenant, which comes from a token's
// claim and can hold anything. Letters, digits and - _ . @ stay; every other
// byte becomes %XX, so that two tenants never share a segment. The segments .
// and .. get their first dot escaped, since tools take them for directories.
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
