// Package auth verifies bearer access tokens (RFC 6750, RFC 9068), which name the
// tenant and the scopes of a call. Tokens are signed by an OpenID Connect issuer
// (OIDC) or with the node's own key (OwnKey).
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
	// TenantsAny is the scope of a platform token, which names no tenant itself: the call,
	// or an event, does. In the token of a tenant it means nothing.
	TenantsAny = "tenants:any"
)

// Scopes lists every scope that the token of a tenant can use.
func Scopes() []string { return []string{IntegrationsRead, IntegrationsWrite, EventsPublish} }

// Identity is the tenant and the scopes of a verified token. The tenant has
// passed usertext.CheckTenant; it is "" in a platform token only.
type Identity struct {
	Tenant string
	Scopes []string
}

// Has reports whether the token has scope, itself or as part of another one.
func (id Identity) Has(scope string) bool {
	return slices.Contains(id.Scopes, scope) ||
		scope == IntegrationsRead && slices.Contains(id.Scopes, IntegrationsWrite)
}

// AnyTenant reports whether the token is a platform token: it may act for every tenant
// and is itself of none.
func (id Identity) AnyTenant() bool { return id.Tenant == "" && slices.Contains(id.Scopes, TenantsAny) }

// RequireScope returns problem.Forbidden, which names the scope, if id lacks it.
func RequireScope(id Identity, scope string) error {
	if id.Has(scope) {
		return nil
	}
	return problem.New(problem.Forbidden, "The access token lacks the scope %s. Get a token with that scope.", scope)
}

// Verifier verifies a raw access token, without "Bearer ". Its errors are
// problem.Unauthorized, whose message says what is wrong with the token and never
// repeats it, and problem.Unavailable if the token cannot be verified now. It is
// safe for concurrent use.
type Verifier interface {
	Verify(ctx context.Context, rawToken string) (Identity, error)
}

func unauthorized(format string, args ...any) *problem.Error {
	return problem.New(problem.Unauthorized, format, args...)
}
