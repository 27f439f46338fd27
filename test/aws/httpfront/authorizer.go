package httpfront

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Authorizer is a JWT authorizer:
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html.
type Authorizer struct {
	Issuer   string
	Audience []string
	Keys     jose.JSONWebKeySet // API Gateway fetches them from the issuer
}

// rsaAlgorithms are the supported algorithms: "Currently, only RSA-based algorithms
// are supported."
var rsaAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512}

// authorize verifies the request's token, with or without the prefix Bearer. It
// returns the claims, or the www-authenticate header of a refusal.
func (a *Authorizer) authorize(r *http.Request, now time.Time) (*jwtContext, string) {
	token := strings.TrimSpace(r.Header.Get("Authorization"))
	if len(token) > 7 && strings.EqualFold(token[:7], "Bearer ") {
		token = strings.TrimSpace(token[7:])
	}
	if token == "" {
		return nil, "Bearer"
	}
	claims, problem := a.verify(token, now)
	if problem != "" {
		return nil, fmt.Sprintf(`Bearer scope="" error="invalid_token" error_description="%s"`, problem)
	}
	context := &jwtContext{Claims: map[string]string{}}
	for name, value := range claims {
		context.Claims[name] = claimText(value)
	}
	return context, ""
}

// verify returns a token's claims, or what is wrong with it.
func (a *Authorizer) verify(token string, now time.Time) (map[string]any, string) {
	signed, err := jose.ParseSignedCompact(token, rsaAlgorithms)
	if err != nil {
		return nil, "the token is malformed"
	}
	keys := a.Keys.Key(signed.Signatures[0].Header.KeyID)
	if len(keys) == 0 {
		return nil, "the token does not have a valid key"
	}
	body, err := signed.Verify(keys[0])
	if err != nil {
		return nil, "signature is invalid"
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var claims map[string]any
	if decoder.Decode(&claims) != nil {
		return nil, "the token is malformed"
	}
	if claims["iss"] != any(a.Issuer) {
		return nil, "the token does not have a valid issuer"
	}
	// "API Gateway validates client_id only if aud is not present."
	audience := claims["aud"]
	if audience == nil {
		audience = claims["client_id"]
	}
	if !slices.ContainsFunc(list(audience), func(s string) bool { return slices.Contains(a.Audience, s) }) {
		return nil, "the token does not have a valid audience"
	}
	return claims, badTime(claims, now)
}

// badTime returns what is wrong with the times of a token. exp is required.
func badTime(claims map[string]any, now time.Time) string {
	seconds := float64(now.UnixNano()) / 1e9
	expires, ok := number(claims["exp"])
	if !ok || expires <= seconds {
		return "the token has expired"
	}
	for name, problem := range map[string]string{
		"nbf": "the token is not valid yet",
		"iat": "the token was issued in the future",
	} {
		value, ok := number(claims[name])
		if claims[name] != nil && (!ok || value > seconds) {
			return problem
		}
	}
	return ""
}

func number(v any) (float64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	return f, err == nil
}

// claimText returns a claim as the function gets it, as text: a list in brackets,
// separated by spaces, and a number in decimal.
func claimText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		if _, err := v.Int64(); err == nil {
			return v.String()
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return strconv.FormatFloat(f, 'f', -1, 64)
	case []any:
		texts := make([]string, len(v))
		for i, item := range v {
			texts[i] = claimText(item)
		}
		return "[" + strings.Join(texts, " ") + "]"
	default:
		return fmt.Sprint(v)
	}
}

// list returns a claim that is a text or a list of them.
func list(v any) []string {
	if text, ok := v.(string); ok {
		return []string{text}
	}
	items, _ := v.([]any)
	var texts []string
	for _, item := range items {
		if text, ok := item.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}
