package integration

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/usertext"
)

func (w *WebhookSpec) validate(kept Kept) error {
	if err := validateURL(nameURL, w.URL); err != nil {
		return err
	}
	if !kept.APIKey {
		if err := validateSecret(nameAPIKey, w.APIKey, maxAPIKeyLength, checkAPIKey); err != nil {
			return err
		}
	}
	if kept.SigningSecret || w.SigningSecret.IsZero() {
		return nil
	}
	return validateSigningSecret(w.SigningSecret)
}

// checkAPIKey returns an error if receivers would not get the key: if no header can have
// it, or if it was copied with what is sent before it. The error does not quote the key.
func checkAPIKey(key string) error {
	first, _, _ := strings.Cut(key, " ")
	for _, copied := range []string{"Bearer", "Authorization:"} {
		if strings.EqualFold(first, copied) {
			return fmt.Errorf("begins with %q, which would be there twice, as it is sent in the header Authorization: Bearer …; give the key alone", copied)
		}
	}
	return usertext.CheckHeader(key)
}

// The form of a signing secret is that of Standard Webhooks.
const (
	signingPrefix   = "whsec_"
	minSigningBytes = 24
	maxSigningBytes = 64

	maxSigningLength = len(signingPrefix) + 88 // of the base64 of maxSigningBytes
)

func validateSigningSecret(s secret.String) error {
	if err := validateSecret(nameSigningSecret, s, maxSigningLength, usertext.Check); err != nil {
		return err
	}
	text, prefixed := strings.CutPrefix(s.Reveal(), signingPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	// Our decoder ignores line breaks and spare bits; a receiver's may not.
	canonical := err == nil && base64.StdEncoding.EncodeToString(key) == text
	if !prefixed || !canonical || len(key) < minSigningBytes || len(key) > maxSigningBytes {
		return refuse("%s is not a signing secret; it must be %s followed by the standard base64, with padding, of %d to %d random bytes.",
			nameSigningSecret, signingPrefix, minSigningBytes, maxSigningBytes)
	}
	return nil
}

func (p *S3Spec) validate(kept Kept) error {
	switch {
	case !validAccessKeyID(p.AccessKeyID):
		return invalid(nameAccessKeyID, p.AccessKeyID, "it must be an access key id: 1 to 128 visible ASCII characters other than / , and =")
	case p.SecretAccessKey.IsZero():
		return refuse("%s is missing or empty; give the secret of the access key.", nameSecretAccessKey)
	case !validRegion(p.Region, p.Endpoint != ""):
		return invalid(nameRegion, p.Region, "it must be the bucket's region, such as eu-central-1: 1 to 64 characters from a-z, 0-9 and hyphen, and also A-Z if an endpoint is given")
	case !validBucket(p.Bucket):
		return invalid(nameBucket, p.Bucket, "it must be a bucket name: 3 to 63 characters from a-z, 0-9, dot and hyphen, with a letter or digit first, last and next to every dot, and not an IP address")
	case !validKeyPrefix(p.KeyPrefix):
		return invalid(nameKeyPrefix, p.KeyPrefix, "it can have at most 512 bytes, no leading or trailing spaces, and no path segment that is . or ..")
	}
	if !kept.SecretAccessKey {
		if err := validateSecret(nameSecretAccessKey, p.SecretAccessKey, maxSecretKeyLength, usertext.Check); err != nil {
			return err
		}
	}
	if p.Endpoint == "" {
		return nil
	}
	if err := validateURL(nameEndpoint, p.Endpoint); err != nil {
		return err
	}
	if strings.Contains(p.Endpoint, "?") {
		return invalid(nameEndpoint, showURL(p.Endpoint), "it must be a URL without a query, such as https://s3.example.com")
	}
	// The SDK gets the endpoint unchanged, so net/url must parse it.
	if _, err := url.Parse(p.Endpoint); err != nil {
		return invalid(nameEndpoint, showURL(p.Endpoint), "write a literal percent sign as %25")
	}
	return nil
}

// validAccessKeyID excludes the characters that would break the Authorization
// header.
func validAccessKeyID(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '/' || c == ',' || c == '=' {
			return false
		}
	}
	return s != "" && len(s) <= maxAccessKeyIDLength
}

// validRegion allows capitals for stores other than Amazon S3, as in
// OpenStack's RegionOne.
func validRegion(s string, otherStore bool) bool {
	if otherStore {
		s = strings.ToLower(s)
	}
	return len(s) <= maxRegionLength && lowerAndHyphens(s)
}

func validBucket(s string) bool {
	if len(s) < 3 || len(s) > 63 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !lowerAndHyphens(label) || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	_, err := netip.ParseAddr(s)
	return err != nil
}

func validKeyPrefix(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if part == "." || part == ".." {
			return false
		}
	}
	return len(s) <= maxKeyPrefixLength && strings.Trim(s, " ") == s // the slashes at its ends are trimmed already
}

// validateURL accepts every unambiguous URL, including one with characters that
// are percent-encoded only when it is called.
func validateURL(field, raw string) error {
	const rule = "it must be an absolute http or https URL, such as https://example.com/events"
	if n := utf8.RuneCountInString(raw); n > MaxURLLength {
		return refuse("%s has %d characters; it can have at most %d.", field, n, MaxURLLength)
	}
	u, err := usertext.ParseURL(raw)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return invalid(field, showURL(raw), rule)
	case u.User != nil:
		return refuse("%s contains a user name or password; remove it, receivers authenticate us by api_key and signing_secret.", field)
	case !validPort(u.Port()):
		return invalid(field, showURL(raw), "its port must be a number from 1 to 65535")
	}
	return validateURLChars(field, raw)
}

// validateURLChars rejects what would not arrive as intended: a fragment, which
// is never sent, and a backslash, which some servers treat as a slash.
func validateURLChars(field, raw string) error {
	if i := strings.IndexByte(raw, '#'); i >= 0 {
		return refuse("%s has a # at position %d, and a URL fragment is never sent; remove it, or write %%23 for a literal #.",
			field, utf8.RuneCountInString(raw[:i])+1)
	}
	path, _, _ := strings.Cut(raw, "?")
	if i := strings.IndexByte(path, '\\'); i >= 0 {
		return refuse("%s has a backslash at position %d; write a slash, or %%5C for a literal backslash.",
			field, utf8.RuneCountInString(raw[:i])+1)
	}
	return nil
}

func validPort(s string) bool {
	if s == "" {
		return true
	}
	n, err := strconv.Atoi(s)
	return err == nil && n >= 1 && n <= 65535
}

// showURL omits the parts of a URL that may be secret, also of text that is no URL:
// user info, path, query and fragment.
func showURL(raw string) string {
	if strings.Contains(raw, "@") {
		return "(not shown: it may contain a password)"
	}
	if u, err := usertext.ParseURL(raw); err == nil && u.Scheme != "" && u.Host != "" {
		return usertext.ShortURL(u)
	}
	start := 0
	if _, after, found := strings.Cut(raw, "://"); found {
		start = len(raw) - len(after)
	}
	if end := strings.IndexAny(raw[start:], `/?#\`); end >= 0 {
		return raw[:start+end] + "/…"
	}
	return raw
}
