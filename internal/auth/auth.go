// Package auth tells from a bearer access token (RFC 6750, RFC 9068) for which
// tenant a call is made and what it may do. Tokens are signed by an OpenID
// Connect issuer (OIDC) or by the node's own key (OwnKey).
package auth

import (
	"context"
	"slices"

	"github.com/sluicehq/sluice/internal/problem"
)

// The scopes of an access token. IntegrationsWrite includes IntegrationsRead.
const (
	IntegrationsRead  = "integrations:read"
	IntegrationsWrite = "integrations:write"
	EventsPublish     = "events:publish"
)

// Scopes lists every scope.
func Scopes() []string { return []string{IntegrationsRead, IntegrationsWrite, EventsPublish} }

// Identity is whom a token stands for. Its tenant has passed CheckTenant.
type Identity struct {
	Tenant string
	Scopes []string
}

// Has reports whether the token was granted scope, by name or by inclusion.
func (id Identity) Has(scope string) bool {
	return slices.Contains(id.Scopes, scope) ||
		scope == IntegrationsRead && slices.Contains(id.Scopes, IntegrationsWrite)
}

// RequireScope returns a problem.Forbidden that names the scope, if id lacks it.
func RequireScope(id Identity, scope string) error {
	if id.Has(scope) {
		return nil
	}
	return problem.New(problem.Forbidden, "The access token lacks the scope %s. Get a token with that scope.", scope)
}

// Verifier checks a raw access token: what comes after "Bearer ". It answers
// problem.Unauthorized, whose message says what is wrong with the token and
// never repeats it, or problem.Unavailable if the token cannot be checked now.
// It is safe for concurrent use.
type Verifier interface {
	Verify(ctx context.Context, rawToken string) (Identity, error)
}

func unauthorized(format string, args ...any) *problem.Error {
	return problem.New(problem.Unauthorized, format, args...)
}
