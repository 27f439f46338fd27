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
	claims := make(auth.Claims, len(request.Authorizer.JWT.Claims))
	for name, text := range request.Authorizer.JWT.Claims {
		claims[name] = claimJSON(text)
	}
	return claims.Identity(v.TenantClaim)
}

// claimJSON undoes what the gateway does to a claim: it makes a string of each,
// of an array "[a b]". A string that reads like another type counts as that
// type, since a claim that is null for every tenant must not make them one. Only
// a number cannot be told from a string of digits, and is taken for the string.
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

// encoded returns v as JSON. Invalid UTF-8 gives nothing, and so a claim that is
// refused.
func encoded(v any) jsontext.Value {
	text, _ := json.Marshal(v)
	return text
}
