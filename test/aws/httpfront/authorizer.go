package httpfront

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Authorizer is what of a JWT authorizer keeps strangers out: signature, issuer, audience and
// expiry. In test/aws/deploy an emulator has the one that the template describes.
type Authorizer struct {
	Issuer   string
	Audience string
	Keys     jose.JSONWebKeySet // API Gateway fetches them from the issuer
}

// authorize returns the claims of the request's token, nil if it is not accepted.
func (a *Authorizer) authorize(r *http.Request, now time.Time) *jwtContext {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return nil
	}
	keys := a.Keys.Key(signed.Signatures[0].Header.KeyID)
	if len(keys) == 0 {
		return nil
	}
	body, err := signed.Verify(keys[0])
	if err != nil {
		return nil
	}
	var claims map[string]any
	if json.Unmarshal(body, &claims) != nil || claims["iss"] != a.Issuer || claims["aud"] != a.Audience {
		return nil
	}
	if expires, ok := claims["exp"].(float64); !ok || expires <= float64(now.Unix()) {
		return nil
	}
	context := &jwtContext{Claims: map[string]string{}}
	for name, value := range claims {
		if number, ok := value.(float64); ok {
			value = int64(number) // not with an exponent
		}
		context.Claims[name] = fmt.Sprint(value)
	}
	return context
}
