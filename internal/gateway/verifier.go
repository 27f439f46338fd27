package gateway

import (
	"context"
	"strings"

	"github.com/awslabs/aws-lambda-go-api-proxy/core"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/problem"
)

// Verifier reads the verdict of the API's JWT authorizer, which has checked the
// token's signature, issuer, audience and times before the function was called.
// It implements auth.Verifier.
type Verifier struct {
	TenantClaim string // name of the claim that has the tenant
}

// Verify implements auth.Verifier. The raw token is not looked at: ctx, which
// is that of a request served by a Handler, has the claims. Every error is a
// problem.Unauthorized.
func (v Verifier) Verify(ctx context.Context, _ string) (auth.Identity, error) {
	request, _ := core.GetAPIGatewayV2ContextFromContext(ctx)
	if request.Authorizer == nil || request.Authorizer.JWT == nil {
		return auth.Identity{}, problem.New(problem.Unauthorized, "The access token was not checked by the gateway. Call the API at its own address.")
	}
	claims := request.Authorizer.JWT.Claims
	tenant := claims[v.TenantClaim]
	if tenant == "" || isList(tenant) {
		return auth.Identity{}, problem.New(problem.Unauthorized, "The access token must name the tenant in the claim %s, as a string.", v.TenantClaim)
	}
	if err := auth.CheckTenant(tenant); err != nil {
		return auth.Identity{}, problem.New(problem.Unauthorized, "The claim %s of the access token cannot be a tenant: it %v.", v.TenantClaim, err)
	}
	return auth.Identity{Tenant: tenant, Scopes: append(words(claims["scope"]), words(claims["scp"])...)}, nil
}

// words are those of a claim, which may have been a string or an array of
// strings. The gateway turns every claim into one string: an array becomes
// "[a b]".
func words(claim string) []string {
	if isList(claim) {
		claim = claim[1 : len(claim)-1]
	}
	return strings.Fields(claim)
}

func isList(claim string) bool {
	return strings.HasPrefix(claim, "[") && strings.HasSuffix(claim, "]")
}
