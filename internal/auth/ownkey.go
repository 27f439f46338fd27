package auth

import (
	"bytes"
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
)

// OwnKeyName is the name of the file of an OwnKey in a data directory.
const OwnKeyName = "token.key"

const (
	ownIssuer   = "sluice"
	ownAudience = "sluice"
	ownTenant   = "tenant" // the claim, whatever SLUICE_TENANT_CLAIM says: Sign writes it too
	ownType     = "at+jwt"
)

var ownAlgorithms = []jose.SignatureAlgorithm{jose.EdDSA}

// OwnKey signs access tokens with an Ed25519 key in a local file, a JWK, and
// verifies them. It is for trying Sluice and for small installations without
// an issuer. Whoever can read the file can act for every tenant.
type OwnKey struct {
	key   ed25519.PrivateKey
	id    string
	rules claimRules
	now   func() time.Time
}

var _ Verifier = (*OwnKey)(nil)

// OpenOwnKey uses the key file at path and makes it on first use.
func OpenOwnKey(path string) (*OwnKey, error) {
	content, err := keyfile.ReadOrCreate(path, freshJWK)
	if err != nil {
		return nil, err
	}
	key, err := parseOwnKey(content)
	if err != nil {
		return nil, fmt.Errorf("the key file %s is damaged: it %w. Restore it from a backup; "+
			"or delete it and make new tokens, because those signed with it will no longer be accepted", path, err)
	}
	id, err := thumbprint(key)
	if err != nil {
		return nil, err
	}
	rules := claimRules{issuer: ownIssuer, audience: ownAudience, tenantClaim: ownTenant}
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

// parseOwnKey never repeats a cause in its error: it might quote the key. That
// the private and the public half belong together, go-jose checks.
func parseOwnKey(content []byte) (ed25519.PrivateKey, error) {
	var jwk jose.JSONWebKey
	if len(bytes.TrimSpace(content)) == 0 {
		return nil, errors.New("is empty")
	}
	if err := jwk.UnmarshalJSON(content); err != nil {
		return nil, errors.New("is not a whole JSON Web Key")
	}
	key, ok := jwk.Key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("is not a private Ed25519 key")
	}
	return key, nil
}

// thumbprint is the id of a key by RFC 7638.
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
	Tenant   string `json:"tenant"`
	Scope    string `json:"scope"`
}

// Sign makes an access token for tenant that is valid from now on for ttl, of
// which whole seconds count. It refuses what Verify would not accept.
func (k *OwnKey) Sign(tenant string, scopes []string, ttl time.Duration, now time.Time) (string, error) {
	if err := CheckTenant(tenant); err != nil {
		return "", fmt.Errorf("the tenant %q cannot be used: it %w", tenant, err)
	}
	if len(scopes) == 0 {
		return "", fmt.Errorf("a token needs a scope; there are %s", strings.Join(Scopes(), ", "))
	}
	for _, scope := range scopes {
		if !slices.Contains(Scopes(), scope) {
			return "", fmt.Errorf("there is no scope %q; there are %s", scope, strings.Join(Scopes(), ", "))
		}
	}
	expires := now.Add(ttl)
	if ttl < time.Second || expires.Unix() > lastSecond {
		return "", fmt.Errorf("a token cannot be valid for %v; it must be a second or more, and end before the year 10000", ttl)
	}
	payload, err := json.Marshal(ownClaims{
		Issuer: ownIssuer, Audience: ownAudience, Subject: tenant, ClientID: ownIssuer, ID: uuid.NewString(),
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

// Verify implements Verifier for tokens of Sign. It does no I/O.
func (k *OwnKey) Verify(_ context.Context, rawToken string) (Identity, error) {
	jws, err := parseToken(rawToken, ownAlgorithms)
	if err != nil {
		return Identity{}, err
	}
	if jws.Signatures[0].Header.KeyID != k.id {
		return Identity{}, unauthorized("The access token is signed with another key than this node's. Make one with: sluice token --data <this node's directory>.")
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
