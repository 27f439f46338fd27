package gateway

import (
	"context"
	"strings"

	"github.com/awslabs/aws-lambda-go-api-proxy/core"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/problem"
)

// Verifier takes the claims from the API's JWT authorizer, which has verified the
// token's signature, issuer, audience and times before it calls the function. It
// implements auth.Verifier.
type Verifier struct {
	TenantClaim string // name of the claim that contains the tenant
}

// Verify implements auth.Verifier. It ignores the raw token: ctx, which must come from
// a request served by a Handler, has the claims. Every error is a problem.Unauthorized.
func (v Verifier) Verify(ctx context.Context, _ string) (auth.Identity, error) {
	request, _ := core.GetAPIGatewayV2ContextFromContext(ctx)
	if request.Authorizer == nil || request.Authorizer.JWT == nil {
		return auth.Identity{}, problem.New(problem.Unauthorized, "The access token was not checked by the gateway. Call the API at its own address.")
	}
	claims := make(auth.Claims, len(request.Authorizer.JWT.Claims))
	for name, text := range request.Authorizer.JWT.Claims {
		claims[name] = claimJSON(text)
	}
	return claims.Identity(v.TenantClaim)
}

// claimJSON reverts the gateway's conversion of every claim to a string, of an array to
// "[a b]". A string that looks like another type is taken for that type: a claim that
// is null for every tenant must not make them the same tenant. Only a number cannot be
// told from a string of digits, and is taken for a string.
func claimJSON(text string) jsontext.Value {
	switch {
	case text == "null" || text == "<nil>":
		return jsontext.Value("null")
	case text == "true" || text == "false":
		return jsontext.Value(text)
	case strings.HasPrefix(text, "map[") && strings.HasSuffix(text, "]"):
		return jsontext.Value("{}")
	case strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]"):
		return encoded(strings.Fields(text[1 : len(text)-1]))
	}
	return encoded(text)
}

// encoded returns v as JSON. For invalid UTF-8 it returns nothing, so the claim is
// rejected.
func encoded(v any) jsontext.Value {
	text, _ := json.Marshal(v)
	return text
}
