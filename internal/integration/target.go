package integration

import (
	"encoding/base64"
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
		if err := validateSecret(nameAPIKey, w.APIKey, maxAPIKeyLength, usertext.CheckHeader); err != nil {
			return err
		}
	}
	if kept.SigningSecret || w.SigningSecret.IsZero() {
		return nil
	}
	return validateSigningSecret(w.SigningSecret)
}

// A signing secret has the form of Standard Webhooks.
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
	// The decoder skips line breaks and spare bits; the receiver's may not.
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
		return invalid(nameAccessKeyID, p.AccessKeyID, "it must be the id of an access key: 1 to 128 visible ASCII characters without / , or =")
	case p.SecretAccessKey.IsZero():
		return refuse("%s is missing or empty; give the secret of the access key.", nameSecretAccessKey)
	case !validRegion(p.Region, p.Endpoint != ""):
		return invalid(nameRegion, p.Region, "it must be the region of the bucket, like eu-central-1: 1 to 64 characters, each of them a-z, 0-9 or a hyphen, and with an endpoint A-Z too")
	case !validBucket(p.Bucket):
		return invalid(nameBucket, p.Bucket, "it must be the name of a bucket: 3 to 63 characters of a-z, 0-9, dots and hyphens, with a letter or digit first, last and beside every dot, and not an IP address")
	case !validKeyPrefix(p.KeyPrefix):
		return invalid(nameKeyPrefix, p.KeyPrefix, "it can have at most 512 bytes, without spaces at its ends, and no part of it between slashes can be . or ..")
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
		return invalid(nameEndpoint, showURL(p.Endpoint), "it must be a URL without a query, like https://s3.example.com")
	}
	// The SDK takes it as it stands.
	if _, err := url.Parse(p.Endpoint); err != nil {
		return invalid(nameEndpoint, showURL(p.Endpoint), "it must have %25 for a percent sign that begins no escape")
	}
	return nil
}

// validAccessKeyID leaves out what would break the header it is sent in.
func validAccessKeyID(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '/' || c == ',' || c == '=' {
			return false
		}
	}
	return s != "" && len(s) <= maxAccessKeyIDLength
}

// validRegion lets stores other than Amazon S3 have capitals, as in OpenStack's
// RegionOne.
func validRegion(s string, ofStore bool) bool {
	if ofStore {
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
	return len(s) <= maxKeyPrefixLength && strings.Trim(s, " ") == s // slashes around them were trimmed
}

// validateURL takes every URL whose meaning is plain, also where it has
// characters that are percent-encoded before it is called.
func validateURL(field, raw string) error {
	const rule = "it must be an absolute http or https URL, like https://example.com/events"
	if n := utf8.RuneCountInString(raw); n > MaxURLLength {
		return refuse("%s has %d characters; it can have at most %d.", field, n, MaxURLLength)
	}
	u, err := usertext.ParseURL(raw)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return invalid(field, showURL(raw), rule)
	case u.User != nil:
		return refuse("%s has a user name or password in it; leave it out, a receiver knows us by api_key and signing_secret.", field)
	case !validPort(u.Port()):
		return invalid(field, showURL(raw), "its port must be a number from 1 to 65535")
	}
	return validateMarks(field, raw)
}

// validateMarks refuses what would not arrive as it was meant: a fragment, which
// is not sent, and a backslash, which some take for a slash.
func validateMarks(field, raw string) error {
	if i := strings.IndexByte(raw, '#'); i >= 0 {
		return refuse("%s has a # at position %d, and what follows a # is never sent; remove it, or write %%23 if it belongs to the URL.",
			field, utf8.RuneCountInString(raw[:i])+1)
	}
	path, _, _ := strings.Cut(raw, "?")
	if i := strings.IndexByte(path, '\\'); i >= 0 {
		return refuse("%s has a backslash at position %d; write a slash, or %%5C if a backslash is meant.",
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

// showURL leaves out what of a URL may be secret: query and user information.
func showURL(raw string) string {
	if strings.Contains(raw, "@") {
		return "(not shown, as it may have a password in it)"
	}
	if before, _, found := strings.Cut(raw, "?"); found {
		return before + "?…"
	}
	return raw
}
