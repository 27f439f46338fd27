package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/sluicehq/sluice/internal/problem"
)

// published returns a key of a set as JSON, with other members added.
func published(t *testing.T, key any, members ...string) string {
	t.Helper()
	text, err := jose.JSONWebKey{Key: key, KeyID: "k\u009b1"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(text), "}") + strings.Join(members, "") + "}"
}

// numbered returns an RSA key of so many bits. Nobody can sign with it.
func numbered(bits uint) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}
}

func onCurve(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestWeakKeysOfAnIssuerAreRefused(t *testing.T) {
	strong := ecKey(t)
	for name, c := range map[string]struct{ key, why string }{
		"RSA of 1024 bits":    {published(t, numbered(1024)), "RSA key of 1024 bits; it must have at least 2048"},
		"RSA of 2047 bits":    {published(t, numbered(2047)), "RSA key of 2047 bits"},
		"RSA of 2048 bits":    {published(t, numbered(2048)), ""},
		"P-224":               {`{"kty":"EC","crv":"P-224","kid":"k","x":"AQ","y":"AQ"}`, "unsupported kind (EC P-224)"},
		"secp256k1":           {`{"kty":"EC","crv":"secp256k1","kid":"k","x":"AQ","y":"AQ"}`, "unsupported kind (EC secp256k1)"},
		"X25519":              {`{"kty":"OKP","crv":"X25519","kid":"k","x":"AQ"}`, "unsupported kind (OKP X25519)"},
		"unknown type":        {`{"kty":"AKP","kid":"k"}`, "unsupported kind (AKP )"},
		"symmetric":           {`{"kty":"oct","kid":"k","k":"c2VjcmV0LWtleQ"}`, "symmetric key (oct)"},
		"private":             {published(t, strong), "replace it: all who have read it can sign"},
		"HS256 of a public":   {published(t, &strong.PublicKey, `,"alg":"HS256"`), `its algorithm "HS256" is not allowed`},
		"none":                {published(t, &strong.PublicKey, `,"alg":"none"`), `its algorithm "none" is not allowed`},
		"RS1":                 {published(t, numbered(2048), `,"alg":"RS1"`), `its algorithm "RS1" is not allowed`},
		"of another type":     {published(t, &strong.PublicKey, `,"alg":"RS256"`), `use one of ES256`},
		"of another curve":    {published(t, &strong.PublicKey, `,"alg":"ES384"`), `use one of ES256`},
		"of its own":          {published(t, &strong.PublicKey, `,"alg":"ES256"`), ""},
		"for encryption":      {published(t, numbered(1024), `,"use":"enc"`), ""},
		"oct for encryption":  {`{"kty":"oct","kid":"k","k":"YQ","use":"enc"}`, ""},
		"no key at all":       {`7`, "not a JSON Web Key"},
		"damaged":             {`{"kty":"EC","crv":"P-256","kid":"k","x":"","y":""}`, "damaged"},
		"P-521":               {published(t, &onCurve(t, elliptic.P521()).PublicKey, `,"alg":"ES512"`), ""},
		"private, encryption": {published(t, strong, `,"use":"enc"`), ""},
	} {
		keys, refused := parseKeys([]byte(`{"keys":[` + c.key + `]}`))
		switch {
		case c.why == "" && len(refused) > 0:
			t.Errorf("%s is refused: %+v", name, refused)
		case c.why == "" && strings.Contains(name, "encryption") != (len(keys) == 0):
			t.Errorf("%s: %d keys verify signatures", name, len(keys))
		case c.why != "" && (len(keys) > 0 || len(refused) != 1 || !strings.Contains(refused[0].why, c.why)):
			t.Errorf("%s: keys %v, refused %+v; want %q", name, keys, refused, c.why)
		}
		if strings.Contains(fmt.Sprint(refused), "c2VjcmV0LWtleQ") {
			t.Errorf("%s: the reason quotes the key: %v", name, refused)
		}
	}
}

// A token that a weak key has signed is refused, others are not; and the operator is
// told of that key, by its kid, once.
func TestWeakKeyVerifiesNothingAndIsLoggedOnce(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	strong := ecKey(t)
	i := newIssuer(t, map[string]any{"weak-one": weak, "good": strong})
	o, elapsed := i.verifier(t)
	var log bytes.Buffer
	o.keys.logger = slog.New(slog.NewJSONHandler(&log, nil))
	if _, err := o.Verify(t.Context(), i.token(t, jose.ES256, "good", strong)); err != nil {
		t.Error(err)
	}
	for range 3 {
		elapsed.Add(int64(2 * refetchAfterSuccess))
		token := i.token(t, jose.RS256, "weak-one", weak)
		id, err := o.Verify(t.Context(), token)
		assertRefused(t, id, err, problem.Unauthorized, "not signed with a key of the issuer", token)
	}
	if i.fetches.Load() < 3 {
		t.Fatalf("the keys were fetched %d times", i.fetches.Load())
	}
	var line struct{ Level, Msg, Issuer, Kid, Reason string }
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatalf("want one line, got %q: %v", log.String(), err)
	}
	if line.Level != "WARN" || line.Kid != "weak-one" || line.Issuer != i.URL || !strings.Contains(line.Reason, "1024 bits") {
		t.Errorf("the log has %+v", line)
	}
	// With weak keys only, nothing can be verified: Ready says which and why.
	i.set(func(i *testIssuer) { delete(i.keys, "good") })
	o, _ = i.verifier(t)
	if err := o.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), `"weak-one" is refused: it is an RSA key of 1024 bits`) {
		t.Errorf("Ready = %v", err)
	}
}
