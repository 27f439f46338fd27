package auth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// oidcAlgorithms are the asymmetric ones: with HS256 a public key would do as
// the secret, and "none" is no signature.
var oidcAlgorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// oidcTypes are the headers typ of an access token: that of RFC 9068, and what
// issuers wrote before it. A logout token, for one, has another.
var oidcTypes = []string{"at+jwt", "jwt", ""}

// OIDC verifies access tokens of an OpenID Connect issuer, whose keys it finds
// by discovery. It does so on the first Verify or Ready and not before, so that
// a node starts while its issuer is down.
type OIDC struct {
	keys  *keySet
	rules claimRules
	now   func() time.Time
}

var _ Verifier = (*OIDC)(nil)

// NewOIDC accepts tokens of issuer, an https URL, or http on a loopback
// address, for audience, which name their tenant in the claim tenantClaim. It
// does no I/O.
func NewOIDC(issuer, audience, tenantClaim string) (*OIDC, error) {
	if err := checkURL(issuer); err != nil {
		return nil, fmt.Errorf("the issuer %q cannot be used: it %w", issuer, err)
	}
	if strings.ContainsAny(issuer, "?#") {
		return nil, fmt.Errorf("the issuer %q cannot be used: it has a query or a fragment", issuer)
	}
	if audience == "" {
		return nil, errors.New("an issuer needs an audience: the name by which its access tokens mean this service")
	}
	if tenantClaim == "" {
		return nil, errors.New("the name of the claim that holds the tenant is empty")
	}
	return &OIDC{
		keys:  newKeySet(issuer),
		rules: claimRules{issuer: issuer, audience: audience, tenantClaim: tenantClaim},
		now:   time.Now,
	}, nil
}

// checkURL refuses what would let somebody on the network put their own keys in
// the issuer's place.
func checkURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil:
		return errors.New("must be a URL like https://issuer.example.com")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && IsLoopback(u.Hostname()):
		return nil
	}
	return errors.New("must be an https URL (http is for loopback addresses alone)")
}

// IsLoopback reports whether a host is this machine by its name or address
// alone, so that what is sent there in clear crosses no network.
func IsLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// Ready reports whether tokens can be checked: nil, or why the issuer's keys
// are not there. It tries to fetch them, for ten seconds at most.
func (o *OIDC) Ready(ctx context.Context) error {
	if len(o.keys.usable(o.now())) > 0 {
		return nil
	}
	_, err := o.keys.refresh(ctx, o.now)
	return err
}

// Verify implements Verifier. It waits for the issuer at most ten seconds, and
// only when the token's key is not among those at hand.
func (o *OIDC) Verify(ctx context.Context, rawToken string) (Identity, error) {
	jws, err := parseToken(rawToken, oidcAlgorithms)
	if err != nil {
		return Identity{}, err
	}
	payload, err := o.keys.verify(ctx, jws, o.now)
	if err != nil {
		return Identity{}, err
	}
	if !slices.Contains(oidcTypes, tokenType(jws)) {
		return Identity{}, unauthorized("The JWT is not an access token: its header typ must be at+jwt or JWT.")
	}
	return o.rules.identity(payload, o.now())
}
