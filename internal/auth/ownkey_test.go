package auth

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/problem"
)

func openOwnKey(t testing.TB) *OwnKey {
	t.Helper()
	k, err := OpenOwnKey(filepath.Join(t.TempDir(), OwnKeyName))
	if err != nil {
		t.Fatal(err)
	}
	k.now = func() time.Time { return testNow }
	return k
}

func sign(t testing.TB, k *OwnKey) string {
	t.Helper()
	token, err := k.Sign("acme", []string{IntegrationsWrite, EventsPublish}, time.Hour, testNow)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// signedBy makes a token with any header and payload.
func signedBy(t testing.TB, alg jose.SignatureAlgorithm, key any, header map[jose.HeaderKey]any, payload string) string {
	t.Helper()
	options := &jose.SignerOptions{ExtraHeaders: header}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func encoded(parts ...string) string {
	for i, part := range parts {
		parts[i] = base64.RawURLEncoding.EncodeToString([]byte(part))
	}
	return strings.Join(parts, ".")
}

func TestOwnKeySignsWhatItVerifies(t *testing.T) {
	path := filepath.Join(t.TempDir(), OwnKeyName)
	first, err := OpenOwnKey(path)
	if err != nil {
		t.Fatal(err)
	}
	token := sign(t, first)
	second, err := OpenOwnKey(path) // after a restart
	if err != nil {
		t.Fatal(err)
	}
	second.now = func() time.Time { return testNow.Add(time.Hour) }
	id, err := second.Verify(t.Context(), token)
	want := Identity{"acme", []string{IntegrationsWrite, EventsPublish}}
	if diff := cmp.Diff(want, id); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	second.now = func() time.Time { return testNow.Add(time.Hour + Leeway) }
	id, err = second.Verify(t.Context(), token)
	assertRefused(t, id, err, problem.Unauthorized, "expired", token)
}

func TestSignRefusesWhatVerifyWould(t *testing.T) {
	k := openOwnKey(t)
	read := []string{IntegrationsRead}
	for name, c := range map[string]struct {
		tenant string
		scopes []string
		ttl    time.Duration
		want   string
	}{
		"tenant":    {"a/b", read, time.Hour, "contains a slash"},
		"unseen":    {"ac\u202eme", read, time.Hour, "has an invisible character (U+202E) at position 3"},
		"no tenant": {"", read, time.Hour, "is empty"},
		"no scope":  {"acme", nil, time.Hour, "needs a scope"},
		"platform":  {"acme", []string{TenantsAny}, time.Hour, "cannot have the scope tenants:any"},
		"scope":     {"acme", []string{"integrations:raed"}, time.Hour, `unknown scope "integrations:raed"`},
		"no time":   {"acme", read, 0, "the ttl 0s"},
		"too short": {"acme", read, time.Second - 1, "the ttl 999.999999ms"},
		"past":      {"acme", read, -time.Hour, "the ttl -1h0m0s"},
	} {
		token, err := k.Sign(c.tenant, c.scopes, c.ttl, testNow)
		if err == nil || token != "" || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, %v; want %q", name, token, err, c.want)
		}
	}
}

func TestAPlatformTokenNamesNoTenant(t *testing.T) {
	k := openOwnKey(t)
	k.now = func() time.Time { return testNow }
	token, err := k.Sign("", []string{EventsPublish, TenantsAny}, time.Hour, testNow)
	if err != nil {
		t.Fatal(err)
	}
	id, err := k.Verify(t.Context(), token)
	if err != nil || !id.AnyTenant() || id.Tenant != "" || !id.Has(EventsPublish) || id.Has(IntegrationsRead) {
		t.Errorf("got %+v, %v", id, err)
	}
}

// A token lasts a second at least, and to the end of the year 9999 at most.
func TestSignTakesItsBounds(t *testing.T) {
	k := openOwnKey(t)
	if _, err := k.Sign("acme", []string{IntegrationsRead}, time.Second, testNow); err != nil {
		t.Errorf("for a second: %v", err)
	}
	end := time.Unix(lastSecond, 0)
	if _, err := k.Sign("acme", []string{IntegrationsRead}, time.Hour, end.Add(-time.Hour)); err != nil {
		t.Errorf("to the last second of the year 9999: %v", err)
	}
	if token, err := k.Sign("acme", []string{IntegrationsRead}, time.Hour+time.Second, end.Add(-time.Hour)); err == nil || token != "" {
		t.Error("a token past the year 9999 was made")
	}
}

func TestOwnKeyRefuses(t *testing.T) {
	k, other := openOwnKey(t), openOwnKey(t)
	good := sign(t, k)
	parts := strings.Split(good, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(k.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	kid := map[jose.HeaderKey]any{"kid": k.id, "typ": ownType}
	const alg, jwt, anotherKey = "unsupported algorithm", "not a signed JWT", "not signed with this node's key"
	for name, c := range map[string]struct{ token, want string }{
		"empty":                {"", "is empty"},
		"huge":                 {strings.Repeat("a", MaxTokenBytes+1), "exceeds the limit of 16384 bytes"},
		"text":                 {"not-a-token", jwt},
		"two parts":            {parts[0] + "." + parts[1], jwt},
		"four parts":           {good + ".x", jwt},
		"spaces":               {" " + good, jwt},
		"JSON form":            {`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, jwt},
		"not base64":           {"%%%%%%%%%%.########.$$$$$$$$", jwt},
		"alg none":             {encoded(`{"alg":"none"}`, string(payload)) + ".", alg},
		"alg None":             {encoded(`{"alg":"None","kid":"`+k.id+`"}`, string(payload)) + "." + parts[2], alg},
		"no alg":               {encoded(`{"kid":"`+k.id+`"}`, string(payload)) + "." + parts[2], alg},
		"HS256, raw public":    {signedBy(t, jose.HS256, []byte(k.key.Public().(ed25519.PublicKey)), kid, string(payload)), alg},
		"HS256, PEM public":    {signedBy(t, jose.HS256, publicPEM, kid, string(payload)), alg},
		"another node's token": {sign(t, other), anotherKey},
		"another key, our kid": {signedBy(t, jose.EdDSA, other.key, kid, string(payload)), "signature of the access token is wrong"},
		"no kid":               {signedBy(t, jose.EdDSA, k.key, nil, string(payload)), anotherKey},
		"key in the header": {signedBy(t, jose.EdDSA, jose.JSONWebKey{Key: other.key, KeyID: k.id},
			map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: other.key.Public()}}, string(payload)), "signature of the access token is wrong"},
		"payload swapped": {parts[0] + "." + encoded(strings.Replace(string(payload), "acme", "evil", 1)) + "." + parts[2], "signature of the access token is wrong"},
		"unknown crit":    {signedBy(t, jose.EdDSA, k.key, map[jose.HeaderKey]any{"kid": k.id, "typ": ownType, "crit": []string{"x"}, "x": 1}, string(payload)), "signature of the access token is wrong"},
		"another typ":     {signedBy(t, jose.EdDSA, k.key, map[jose.HeaderKey]any{"kid": k.id, "typ": "logout+jwt"}, string(payload)), "header typ must be at+jwt"},
		"other issuer":    {signedBy(t, jose.EdDSA, k.key, kid, strings.Replace(string(payload), `"iss":"sluice"`, `"iss":"x"`, 1)), "claim iss"},
		"other audience":  {signedBy(t, jose.EdDSA, k.key, kid, strings.Replace(string(payload), `"aud":"sluice"`, `"aud":"x"`, 1)), "claim aud"},
		"no exp":          {signedBy(t, jose.EdDSA, k.key, kid, `{"iss":"sluice","aud":"sluice","tenant":"acme"}`), "claim exp"},
		"no claims":       {signedBy(t, jose.EdDSA, k.key, kid, ``), "not a JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := k.Verify(t.Context(), c.token)
			assertRefused(t, id, err, problem.Unauthorized, c.want, c.token)
		})
	}
	if _, err := k.Verify(t.Context(), good); err != nil {
		t.Errorf("the token that the others were made from: %v", err)
	}
}

func TestDamagedOwnKeyIsRefusedAndLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), OwnKeyName)
	k, err := OpenOwnKey(path)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jose.JSONWebKey{Key: k.key.Public()}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"empty": {}, "blank": []byte(" \n"), "text": []byte("key"), "half": whole[:len(whole)/2], "public half": public,
		"symmetric": []byte(`{"kty":"oct","k":"c2VjcmV0"}`), "null": []byte("null"),
		"short":  []byte(`{"kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"}`),
		"halves": []byte(strings.Replace(string(whole), `"x":"`, `"x":"AAAA`, 1)),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		before := sha256.Sum256(content)
		_, err := OpenOwnKey(path)
		if err == nil || !strings.Contains(err.Error(), path+" is damaged") || !strings.Contains(err.Error(), "delete it") {
			t.Errorf("%s: %v; want the file and what to do", name, err)
		}
		after, err := os.ReadFile(path)
		if err != nil || sha256.Sum256(after) != before {
			t.Errorf("%s: the file changed", name)
		}
	}
	refusals := 0
	for i := range whole { // a flip is found, or the key is still the same
		flipped := append([]byte(nil), whole...)
		flipped[i] ^= 0x01
		key, err := parseOwnKey(flipped)
		if err != nil {
			refusals++
		} else if !key.Equal(k.key) {
			t.Errorf("byte %d flipped: another key", i)
		}
	}
	if refusals == 0 {
		t.Error("no flip was found")
	}
}

func FuzzOwnKeyVerify(f *testing.F) {
	k := openOwnKey(f)
	good := sign(f, k)
	f.Add(good)
	f.Add(encoded(`{"alg":"none"}`, `{}`) + ".")
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		id, err := k.Verify(t.Context(), token)
		if err != nil {
			if problem.CodeOf(err) != problem.Unauthorized || problem.MessageOf(err) == "" {
				t.Errorf("%v", err)
			}
			return
		}
		// Base64 leaves bits of the last character unused; all before is signed.
		if token[:strings.LastIndex(token, ".")] != good[:strings.LastIndex(good, ".")] {
			t.Errorf("accepted a forged token as %+v: %s", id, token)
		}
	})
}

func FuzzOwnKeyFile(f *testing.F) {
	content, err := freshJWK()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add([]byte(`{"kty":"OKP","crv":"Ed25519","x":"","d":""}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		if key, err := parseOwnKey(content); err == nil {
			if !ed25519.Verify(key.Public().(ed25519.PublicKey), []byte("m"), ed25519.Sign(key, []byte("m"))) {
				t.Error("accepted a key that does not verify what it signs")
			}
		}
	})
}
