package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// oidcAlgorithms lists only asymmetric algorithms: with HS256 a public key would
// serve as the secret, and "none" is no signature.
var oidcAlgorithms = append(slices.Clone(rsaAlgorithms), jose.ES256, jose.ES384, jose.ES512, jose.EdDSA)

// oidcTypes lists the accepted values of the header typ: that of RFC 9068 and
// those that issuers used before it. It excludes logout tokens, for example.
var oidcTypes = []string{"at+jwt", "jwt", ""}

// OIDC verifies access tokens of an OpenID Connect issuer. It discovers the
// issuer's keys on the first Verify or Ready, so that a node starts while its
// issuer is down.
type OIDC struct {
	keys  *keySet
	rules claimRules
	now   func() time.Time
}

var _ Verifier = (*OIDC)(nil)

// NewOIDC returns a verifier of tokens from issuer for audience, whose claim
// tenantClaim names the tenant. The issuer must be an https URL, or http on a
// loopback address. The logger is told of the issuer's keys that are refused. NewOIDC
// does no I/O.
func NewOIDC(issuer, audience, tenantClaim string, logger *slog.Logger) (*OIDC, error) {
	if err := checkURL(issuer); err != nil {
		return nil, fmt.Errorf("the issuer %q is invalid: it %w", issuer, err)
	}
	if strings.ContainsAny(issuer, "?#") {
		return nil, fmt.Errorf("the issuer %q is invalid: it must not have a query or fragment", issuer)
	}
	if audience == "" {
		return nil, errors.New("the audience is empty; set it to the name of this service in the issuer's access tokens")
	}
	if tenantClaim == "" {
		return nil, errors.New("the tenant claim is empty; name the claim that contains the tenant")
	}
	return &OIDC{
		keys:  newKeySet(issuer, logger),
		rules: claimRules{issuer: issuer, audience: audience, tenantClaim: tenantClaim},
		now:   time.Now,
	}, nil
}

// checkURL refuses URLs that would let an attacker on the network substitute the
// issuer's keys.
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
	return errors.New("must be an https URL (http is allowed for loopback addresses only)")
}

// IsLoopback reports whether host is localhost or a loopback address, so that
// plain text sent to it crosses no network. It does not resolve names.
func IsLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// Ready returns nil if tokens can be verified, or why the issuer's keys are
// missing. It tries to fetch them, for at most 10 s.
func (o *OIDC) Ready(ctx context.Context) error {
	if len(o.keys.usable(o.now())) > 0 {
		return nil
	}
	_, err := o.keys.refresh(ctx, o.now)
	return err
}

// Verify implements Verifier. It waits for the issuer, for at most 10 s, only if
// the token's key is not cached.
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
