package auth

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/sluicehq/sluice/internal/keyfile"
	"github.com/sluicehq/sluice/internal/usertext"
)

// OwnTenantClaim is the claim that names the tenant in tokens of an OwnKey, regardless of
// SLUICE_TENANT_CLAIM.
const OwnTenantClaim = "tenant"

// OwnKeyName is the file name of an OwnKey in a data directory.
const OwnKeyName = "token.key"

const (
	ownIssuer   = "sluice"
	ownAudience = "sluice"
	ownType     = "at+jwt"
	ownPlatform = "platform" // the subject of a platform token
)

var ownAlgorithms = []jose.SignatureAlgorithm{jose.EdDSA}

// OwnKey signs and verifies access tokens with an Ed25519 key in a local file, a
// JWK. It is for development and for small installations without an issuer. Anyone
// who can read the file can act as any tenant. It is safe for concurrent use.
type OwnKey struct {
	key   ed25519.PrivateKey
	id    string
	rules claimRules
	now   func() time.Time
}

var _ Verifier = (*OwnKey)(nil)

// OpenOwnKey opens the key file at path, or creates it with a new key.
func OpenOwnKey(path string) (*OwnKey, error) {
	content, err := keyfile.ReadOrCreate(path, freshJWK)
	if err != nil {
		return nil, err
	}
	key, err := parseOwnKey(content)
	if err != nil {
		return nil, fmt.Errorf("the key file %s is damaged: it %w. Restore it from a backup, "+
			"or delete it and create new tokens; those signed with it will no longer be accepted", path, err)
	}
	id, err := thumbprint(key)
	if err != nil {
		return nil, err
	}
	rules := claimRules{issuer: ownIssuer, audience: ownAudience, tenantClaim: OwnTenantClaim}
	return &OwnKey{key: key, id: id, rules: rules, now: time.Now}, nil
}

func freshJWK() ([]byte, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	id, err := thumbprint(key)
	if err != nil {
		return nil, err
	}
	content, err := jose.JSONWebKey{Key: key, KeyID: id, Algorithm: string(jose.EdDSA), Use: "sig"}.MarshalJSON()
	return append(content, '\n'), err
}

// parseOwnKey omits causes from its errors, because they might quote the key.
// go-jose checks that the private and the public half match.
func parseOwnKey(content []byte) (ed25519.PrivateKey, error) {
	var jwk jose.JSONWebKey
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, errors.New("is empty")
	}
	if err := jwk.UnmarshalJSON(content); err != nil {
		return nil, errors.New("is not a complete JSON Web Key")
	}
	key, ok := jwk.Key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("is not a private Ed25519 key")
	}
	return key, nil
}

// thumbprint returns the id of a key (RFC 7638).
func thumbprint(key ed25519.PrivateKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(sum), err
}

type ownClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	ClientID string `json:"client_id"`
	ID       string `json:"jti"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	Tenant   string `json:"tenant,omitzero"`
	Scope    string `json:"scope"`
}

// Sign returns an access token for tenant that is valid from now for ttl, in whole
// seconds. The scope TenantsAny and a tenant exclude each other. It refuses claims that
// Verify would not accept.
func (k *OwnKey) Sign(tenant string, scopes []string, ttl time.Duration, now time.Time) (string, error) {
	if err := checkSigned(tenant, scopes); err != nil {
		return "", err
	}
	expires := now.Add(ttl)
	if ttl < time.Second || expires.Unix() > lastSecond {
		return "", fmt.Errorf("the ttl %v is invalid; it must be at least 1s and end before the year 10000", ttl)
	}
	payload, err := json.Marshal(ownClaims{
		Issuer: ownIssuer, Audience: ownAudience, Subject: cmp.Or(tenant, ownPlatform), ClientID: ownIssuer, ID: uuid.NewString(),
		IssuedAt: now.Unix(), Expires: expires.Unix(), Tenant: tenant, Scope: strings.Join(scopes, " "),
	})
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: k.key, KeyID: k.id}},
		new(jose.SignerOptions).WithType(ownType))
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

// checkSigned checks the tenant and the scopes of a token to sign.
func checkSigned(tenant string, scopes []string) error {
	if platform := slices.Contains(scopes, TenantsAny); !platform || tenant != "" {
		if err := usertext.CheckTenant(tenant); err != nil {
			return fmt.Errorf("the tenant %q is invalid: it %w", tenant, err)
		}
		if platform {
			return fmt.Errorf("a token of the tenant %q cannot have the scope %s; sign one without a tenant", tenant, TenantsAny)
		}
	}
	if len(scopes) == 0 {
		return fmt.Errorf("a token needs a scope; choose from %s", strings.Join(Scopes(), ", "))
	}
	for _, scope := range scopes {
		if scope != TenantsAny && !slices.Contains(Scopes(), scope) {
			return fmt.Errorf("unknown scope %q; choose from %s", scope, strings.Join(Scopes(), ", "))
		}
	}
	return nil
}

// Verify implements Verifier for tokens from Sign. It does no I/O.
func (k *OwnKey) Verify(_ context.Context, rawToken string) (Identity, error) {
	jws, err := parseToken(rawToken, ownAlgorithms)
	if err != nil {
		return Identity{}, err
	}
	if jws.Signatures[0].Header.KeyID != k.id {
		return Identity{}, unauthorized("The access token is not signed with this node's key. Create one with: sluice token --data <this node's data directory>.")
	}
	payload, err := jws.Verify(k.key.Public())
	if err != nil {
		return Identity{}, unauthorized("The signature of the access token is wrong.")
	}
	if tokenType(jws) != ownType {
		return Identity{}, unauthorized("The JWT is not an access token: its header typ must be %s.", ownType)
	}
	return k.rules.identity(payload, k.now())
}
