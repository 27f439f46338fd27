package auth

import (
	"errors"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/sluicehq/sluice/internal/problem"
)

// MaxTokenBytes is the largest access token that is looked at.
const MaxTokenBytes = 16 << 10

// parseToken reads a JWT in its compact form, with one of the algorithms. Its
// signature has yet to be verified.
func parseToken(raw string, algorithms []jose.SignatureAlgorithm) (*jose.JSONWebSignature, error) {
	if raw == "" {
		return nil, unauthorized("The access token is empty. Send the header Authorization: Bearer <token>.")
	}
	if len(raw) > MaxTokenBytes {
		return nil, unauthorized("The access token is larger than %d bytes.", MaxTokenBytes)
	}
	jws, err := jose.ParseSignedCompact(raw, algorithms)
	if _, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
		return nil, unauthorized("The access token is signed with an algorithm that is not accepted here. Accepted: %s.", list(algorithms))
	}
	if err != nil {
		return nil, problem.Wrap(err, problem.Unauthorized, "The access token is not a signed JWT: three base64url parts with dots between them.")
	}
	return jws, nil
}

// tokenType is the header typ, in lower case and without "application/"
// (RFC 7515, section 4.1.9); "" where there is none.
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
