package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/sluicehq/sluice/internal/usertext"
)

// minRSABits is the smallest RSA key that RFC 7518 allows.
const minRSABits = 2048

// refusedKey is a key of an issuer that no token is verified with.
type refusedKey struct{ kid, why string }

// parseKeys returns the keys of a JSON Web Key Set that may verify signatures, and those
// that are refused. A set may have keys of any kind (RFC 7517, section 5): those for
// encryption are neither.
func parseKeys(body []byte) (keys []jose.JSONWebKey, refused []refusedKey) {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if json.Unmarshal(body, &set) != nil {
		return nil, nil
	}
	for _, raw := range set.Keys {
		key, why := parseKey(raw)
		switch {
		case key.Use == "enc":
		case why == "":
			keys = append(keys, key)
		default:
			refused = append(refused, refusedKey{usertext.Clip(key.KeyID, 100), why})
		}
	}
	return keys, refused
}

// parseKey returns a key, and why it must not verify signatures, or "". The reason
// quotes nothing of the key but names.
func parseKey(raw jsontext.Value) (key jose.JSONWebKey, why string) {
	var named struct {
		ID    string `json:"kid"`
		Type  string `json:"kty"`
		Curve string `json:"crv"`
		Use   string `json:"use"`
	}
	if json.Unmarshal(raw, &named) != nil {
		return key, "it is not a JSON Web Key"
	}
	if named.Type == "oct" {
		return jose.JSONWebKey{KeyID: named.ID, Use: named.Use}, "it is a symmetric key (oct), with which everyone who reads it can sign; publish public keys only"
	}
	if key.UnmarshalJSON(raw) != nil {
		kind := usertext.Clip(named.Type+" "+named.Curve, 50)
		return jose.JSONWebKey{KeyID: named.ID, Use: named.Use}, fmt.Sprintf("it is damaged or of an unsupported kind (%s); use RSA, EC with P-256, P-384 or P-521, or OKP with Ed25519", kind)
	}
	return key, faultOf(&key)
}

// faultOf returns why a key that was read must not verify signatures, or "".
func faultOf(key *jose.JSONWebKey) string {
	if !key.IsPublic() {
		return "it is not a public key; if it is a private key, replace it: all who have read it can sign"
	}
	if k, ok := key.Key.(*rsa.PublicKey); ok && k.N.BitLen() < minRSABits {
		return fmt.Sprintf("it is an RSA key of %d bits; it must have at least %d", k.N.BitLen(), minRSABits)
	}
	allowed := algorithmsOf(key.Key)
	if key.Algorithm != "" && !slices.Contains(allowed, jose.SignatureAlgorithm(key.Algorithm)) {
		return fmt.Sprintf("its algorithm %q is not allowed for it; use one of %s", usertext.Clip(key.Algorithm, 50), list(allowed))
	}
	return ""
}

var (
	rsaAlgorithms   = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}
	curveAlgorithms = map[elliptic.Curve]jose.SignatureAlgorithm{elliptic.P256(): jose.ES256, elliptic.P384(): jose.ES384, elliptic.P521(): jose.ES512}
)

// algorithmsOf returns the algorithms that a public key may be used with (RFC 7518,
// RFC 8037): those of RSA, the one of an elliptic curve, or EdDSA.
func algorithmsOf(key any) []jose.SignatureAlgorithm {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return rsaAlgorithms
	case *ecdsa.PublicKey:
		return []jose.SignatureAlgorithm{curveAlgorithms[k.Curve]}
	case ed25519.PublicKey:
		return []jose.SignatureAlgorithm{jose.EdDSA}
	}
	return nil
}
