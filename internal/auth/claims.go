package auth

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/sluicehq/sluice/internal/usertext"
)

// Leeway is the tolerated difference between the clocks of the issuer and of this
// service.
const Leeway = 30 * time.Second

// lastSecond is the end of the year 9999. Later times are refused as mistakes.
const lastSecond = 253402300799

// claimRules is what the claims of a token must match.
type claimRules struct {
	issuer, audience, tenantClaim string
}

// Claims are the claims of an access token, each as raw JSON.
type Claims map[string]jsontext.Value

// identity checks the payload of a token whose signature is verified already.
func (r claimRules) identity(payload []byte, now time.Time) (Identity, error) {
	var c Claims
	if err := json.Unmarshal(payload, &c); err != nil || c == nil {
		return Identity{}, unauthorized("The claims of the access token are not a JSON object with unique names.")
	}
	if issuer, ok := c.text("iss"); !ok || issuer != r.issuer {
		return Identity{}, unauthorized("The access token is from another issuer: its claim iss must be %q.", r.issuer)
	}
	if audience, ok := c.texts("aud"); !ok || !slices.Contains(audience, r.audience) {
		return Identity{}, unauthorized("The access token is for another audience: its claim aud must contain %q.", r.audience)
	}
	if err := c.checkTimes(now); err != nil {
		return Identity{}, err
	}
	return c.Identity(r.tenantClaim)
}

// Identity returns the tenant and the scopes of the claims. A platform token has no tenant
// claim, not even null: one that has it is that tenant's, whatever its scopes. The caller must have verified the token's signature,
// issuer, audience and times. Every error is problem.Unauthorized.
func (c Claims) Identity(tenantClaim string) (Identity, error) {
	if _, named := c[tenantClaim]; !named {
		scopes, err := c.scopes()
		if id := (Identity{Scopes: scopes}); err == nil && id.AnyTenant() {
			return id, nil
		}
	}
	tenant, ok := c.text(tenantClaim)
	if !ok {
		return Identity{}, unauthorized("The access token must name the tenant in its claim %s, as a string.", tenantClaim)
	}
	if err := usertext.CheckTenant(tenant); err != nil {
		return Identity{}, unauthorized("The claim %s of the access token is not a valid tenant: it %v.", tenantClaim, err)
	}
	scopes, err := c.scopes()
	if err != nil {
		return Identity{}, err
	}
	return Identity{Tenant: tenant, Scopes: scopes}, nil
}

func (c Claims) checkTimes(now time.Time) error {
	exp, found, err := c.time("exp")
	switch {
	case err != nil:
		return err
	case !found:
		return unauthorized("The access token has no expiry: it needs the claim exp.")
	case !now.Before(exp.Add(Leeway)):
		return unauthorized("The access token expired at %s. Get a new one.", exp.UTC().Format(time.RFC3339))
	}
	for _, name := range []string{"nbf", "iat"} {
		from, found, err := c.time(name)
		if err != nil {
			return err
		}
		if found && now.Add(Leeway).Before(from) {
			return unauthorized("The access token is not valid before %s (its claim %s). Check the clocks of the issuer and of this service.",
				from.UTC().Format(time.RFC3339), name)
		}
	}
	return nil
}

// scopes returns the scopes in the claims scope (RFC 9068) and scp, which some
// issuers use. Either may be a string or a list.
func (c Claims) scopes() ([]string, error) {
	var scopes []string
	for _, name := range []string{"scope", "scp"} {
		if !c.has(name) {
			continue
		}
		texts, ok := c.texts(name)
		if !ok {
			return nil, unauthorized("The claim %s of the access token must be a string of space-separated scopes or an array of strings.", name)
		}
		for _, text := range texts {
			scopes = append(scopes, strings.Fields(text)...)
		}
	}
	return scopes, nil
}

// has reports whether the claim is present and not null.
func (c Claims) has(name string) bool {
	v, ok := c[name]
	return ok && v.Kind() != 'n'
}

func (c Claims) text(name string) (string, bool) {
	var text string
	ok := c[name].Kind() == '"' && json.Unmarshal(c[name], &text) == nil
	return text, ok
}

// texts returns a claim that is a string or an array of strings.
func (c Claims) texts(name string) ([]string, bool) {
	if text, ok := c.text(name); ok {
		return []string{text}, true
	}
	var elements []jsontext.Value
	if c[name].Kind() != '[' || json.Unmarshal(c[name], &elements) != nil {
		return nil, false
	}
	texts := make([]string, len(elements))
	for i, element := range elements {
		text, ok := Claims{name: element}.text(name)
		if !ok { // json would decode null as ""
			return nil, false
		}
		texts[i] = text
	}
	return texts, true
}

// time parses a NumericDate (RFC 7519): seconds since 1970. A fraction is dropped.
func (c Claims) time(name string) (t time.Time, found bool, err error) {
	if !c.has(name) {
		return time.Time{}, false, nil
	}
	seconds, err := strconv.ParseFloat(string(c[name]), 64)
	if err != nil || c[name].Kind() != '0' || math.Abs(seconds) > lastSecond {
		return time.Time{}, false, unauthorized("The claim %s of the access token must be a time in seconds since 1970.", name)
	}
	return time.Unix(int64(seconds), 0), true, nil
}
