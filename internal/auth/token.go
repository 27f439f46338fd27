package auth

import (
	"errors"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/sluicehq/sluice/internal/problem"
)

// MaxTokenBytes limits the size of an access token.
const MaxTokenBytes = 16 << 10

// parseToken parses a JWT in compact form, signed with one of algorithms. The
// caller must verify its signature.
func parseToken(raw string, algorithms []jose.SignatureAlgorithm) (*jose.JSONWebSignature, error) {
	if raw == "" {
		return nil, unauthorized("The access token is empty. Send the header Authorization: Bearer <token>.")
	}
	if len(raw) > MaxTokenBytes {
		return nil, unauthorized("The access token exceeds the limit of %d bytes.", MaxTokenBytes)
	}
	jws, err := jose.ParseSignedCompact(raw, algorithms)
	if _, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
		return nil, unauthorized("The access token is signed with an unsupported algorithm; use one of %s.", list(algorithms))
	}
	if err != nil {
		return nil, problem.Wrap(err, problem.Unauthorized, "The access token is not a signed JWT: it must be three base64url parts separated by dots.")
	}
	return jws, nil
}

// tokenType returns the header typ in lower case and without "application/"
// (RFC 7515, section 4.1.9), "" if it is absent.
func tokenType(jws *jose.JSONWebSignature) string {
	typ, _ := jws.Signatures[0].Header.ExtraHeaders[jose.HeaderType].(string)
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

func list(algorithms []jose.SignatureAlgorithm) string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = string(a)
	}
	return strings.Join(names, ", ")
}
