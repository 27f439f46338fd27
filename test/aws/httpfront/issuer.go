package httpfront

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Issuer issues the tokens of a test.
type Issuer struct {
	URL      string
	Audience string
	key      jose.JSONWebKey
	signer   jose.Signer
}

// NewIssuer returns an issuer with a new key.
func NewIssuer(url, audience string) (*Issuer, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	key := jose.JSONWebKey{Key: private, KeyID: requestID(), Algorithm: string(jose.RS256), Use: "sig"}
	options := (&jose.SignerOptions{}).WithType("JWT")
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, options)
	if err != nil {
		return nil, err
	}
	return &Issuer{url, audience, key, signer}, nil
}

// Keys returns the issuer's public keys.
func (i *Issuer) Keys() jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.key.Public()}}
}

// Authorizer returns an authorizer that accepts the issuer's tokens.
func (i *Issuer) Authorizer() *Authorizer {
	return &Authorizer{Issuer: i.URL, Audience: []string{i.Audience}, Keys: i.Keys()}
}

// Token returns a signed token that is valid for an hour. The given claims override
// the defaults; nil removes a claim.
func (i *Issuer) Token(claims map[string]any) (string, error) {
	now := time.Now()
	all := map[string]any{
		"iss": i.URL,
		"aud": i.Audience,
		"iat": now.Unix(),
		"exp": now.Add(time.Hour).Unix(),
	}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	body, err := json.Marshal(all)
	if err != nil {
		return "", fmt.Errorf("the claims of a token: %w", err)
	}
	signed, err := i.signer.Sign(body)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
