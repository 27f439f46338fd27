package auth

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/problem"
)

// testIssuer is an OpenID Connect issuer whose keys and faults a test sets.
type testIssuer struct {
	*httptest.Server
	fetches atomic.Int32 // of the key set

	mu        sync.Mutex
	keys      map[string]any // kid: private key
	discovery func(http.ResponseWriter)
	jwks      func(http.ResponseWriter)
}

func newIssuer(t *testing.T, keys map[string]any) *testIssuer {
	t.Helper()
	i := &testIssuer{keys: keys}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.discovery != nil {
			i.discovery(w)
			return
		}
		writeDiscovery(w, i.URL, i.URL+"/keys?p=1")
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		i.fetches.Add(1)
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.jwks != nil {
			i.jwks(w)
			return
		}
		i.writeKeys(w)
	})
	mux.HandleFunc("GET /elsewhere", func(w http.ResponseWriter, _ *http.Request) { i.writeKeys(w) })
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func writeDiscovery(w http.ResponseWriter, issuer, jwks string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, issuer, jwks)
}

func (i *testIssuer) writeKeys(w http.ResponseWriter) {
	set := jose.JSONWebKeySet{}
	for _, kid := range slices.Sorted(maps.Keys(i.keys)) {
		key := jose.JSONWebKey{Key: i.keys[kid], KeyID: kid}
		set.Keys = append(set.Keys, key.Public())
	}
	_ = json.NewEncoder(w).Encode(set)
}

func (i *testIssuer) set(change func(*testIssuer)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change(i)
}

func (i *testIssuer) claims() string {
	return withClaims(map[string]string{"iss": fmt.Sprintf("%q", i.URL), "exp": at(48 * time.Hour)})
}

func (i *testIssuer) token(t *testing.T, alg jose.SignatureAlgorithm, kid string, key any) string {
	t.Helper()
	return signedBy(t, alg, jose.JSONWebKey{Key: key, KeyID: kid}, map[jose.HeaderKey]any{"typ": "at+jwt"}, i.claims())
}

// verifier is an OIDC with its own clock.
func (i *testIssuer) verifier(t *testing.T) (*OIDC, *atomic.Int64) {
	t.Helper()
	o, err := NewOIDC(i.URL, "sluice-api", "tenant", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var elapsed atomic.Int64
	o.now = func() time.Time { return testNow.Add(time.Duration(elapsed.Load())) }
	return o, &elapsed
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func TestOIDCAccepts(t *testing.T) {
	r, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	e := ecKey(t)
	i := newIssuer(t, map[string]any{"rsa": r, "ec": e})
	o, _ := i.verifier(t)
	for name, token := range map[string]string{
		"RS256":       i.token(t, jose.RS256, "rsa", r),
		"PS512":       i.token(t, jose.PS512, "rsa", r),
		"ES256":       i.token(t, jose.ES256, "ec", e),
		"no kid":      signedBy(t, jose.ES256, e, nil, i.claims()),
		"typ JWT":     signedBy(t, jose.ES256, e, map[jose.HeaderKey]any{"typ": "JWT"}, i.claims()),
		"typ in full": signedBy(t, jose.ES256, e, map[jose.HeaderKey]any{"typ": "application/at+JWT"}, i.claims()),
	} {
		id, err := o.Verify(t.Context(), token)
		if diff := cmp.Diff(Identity{"acme", []string{IntegrationsRead}}, id); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	if got := i.fetches.Load(); got != 1 {
		t.Errorf("the keys were fetched %d times, want once", got)
	}
}

func TestOIDCRefuses(t *testing.T) {
	r, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	e, stranger := ecKey(t), ecKey(t)
	i := newIssuer(t, map[string]any{"rsa": r, "ec": e})
	o, _ := i.verifier(t)
	public, err := jose.JSONWebKey{Key: &r.PublicKey}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	good := strings.Split(i.token(t, jose.ES256, "ec", e), ".")
	typ := map[jose.HeaderKey]any{"typ": "at+jwt"}
	claims := func(name, value string) string {
		return signedBy(t, jose.ES256, e, typ, withClaims(map[string]string{"iss": fmt.Sprintf("%q", i.URL), name: value}))
	}
	const alg, key = "unsupported algorithm", "not signed with a key of the issuer"
	for name, c := range map[string]struct{ token, want string }{
		"huge":               {strings.Repeat("a", MaxTokenBytes+1), "exceeds the limit"},
		"garbage":            {"aaaaaaaaaa.bbbbbbbbbb.cccccccccc", "not a signed JWT"},
		"alg none":           {encoded(`{"alg":"none"}`, i.claims()) + ".", alg},
		"HS256 with public":  {signedBy(t, jose.HS256, public, typ, i.claims()), alg},
		"stranger":           {i.token(t, jose.ES256, "other", stranger), key},
		"stranger, our kid":  {i.token(t, jose.ES256, "ec", stranger), key},
		"stranger, no kid":   {signedBy(t, jose.ES256, stranger, typ, i.claims()), key},
		"key of another kid": {i.token(t, jose.ES256, "rsa", e), key},
		"key in the header":  {signedBy(t, jose.ES256, stranger, map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: &stranger.PublicKey}}, i.claims()), key},
		"payload swapped":    {good[0] + "." + encoded(strings.Replace(i.claims(), "acme", "evil", 1)) + "." + good[2], key},
		"logout token":       {signedBy(t, jose.ES256, e, map[jose.HeaderKey]any{"typ": "logout+jwt"}, i.claims()), "header typ"},
		"wrong issuer":       {signedBy(t, jose.ES256, e, typ, withClaims(nil)), "claim iss"},
		"wrong audience":     {claims("aud", `"other"`), "claim aud"},
		"no exp":             {claims("exp", ""), "claim exp"},
		"expired":            {claims("exp", "1"), "expired at 1970-01-01T00:00:01Z"},
		"tenant":             {claims("tenant", `"a/b"`), "claim tenant"},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := o.Verify(t.Context(), c.token)
			assertRefused(t, id, err, problem.Unauthorized, c.want, c.token)
		})
	}
	if got := i.fetches.Load(); got != 1 {
		t.Errorf("bad tokens made us fetch the keys %d times, want once", got)
	}
}

// A key that is published for one algorithm signs nothing by another (RFC 7517,
// section 4.4). Most issuers publish theirs so.
func TestOIDCKeyIsForItsAlgorithm(t *testing.T) {
	key, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, published := range []jose.SignatureAlgorithm{jose.RS256, jose.PS256} {
		i := newIssuer(t, map[string]any{"1": key})
		i.jwks = func(w http.ResponseWriter) {
			set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Algorithm: string(published)}}}
			_ = json.NewEncoder(w).Encode(set)
		}
		o, _ := i.verifier(t)
		for _, signed := range []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.RS512} {
			_, err := o.Verify(t.Context(), i.token(t, signed, "1", key))
			if want := signed == published; want != (err == nil) || !want && problem.CodeOf(err) != problem.Unauthorized {
				t.Errorf("a key for %s, a token by %s: %v", published, signed, err)
			}
		}
	}
}

// The age at which keys are fetched again is the longest for which a key that
// was withdrawn is taken, while the issuer can be asked.
func TestOIDCFetchesKeysOfAnAge(t *testing.T) {
	key := ecKey(t)
	i := newIssuer(t, map[string]any{"1": key})
	o, elapsed := i.verifier(t)
	token := i.token(t, jose.ES256, "1", key)
	for _, c := range []struct {
		after   time.Duration
		fetches int32
	}{{0, 1}, {refreshKeysAfter - 1, 1}, {refreshKeysAfter, 2}, {2*refreshKeysAfter - 1, 2}, {2 * refreshKeysAfter, 3}} {
		elapsed.Store(int64(c.after))
		if _, err := o.Verify(t.Context(), token); err != nil {
			t.Errorf("after %v: %v", c.after, err)
		}
		<-o.keys.group.DoChan("", func() (any, error) { return nil, nil }) // ends no earlier than a fetch
		if got := i.fetches.Load(); got != c.fetches {
			t.Errorf("after %v the keys were fetched %d times, want %d", c.after, got, c.fetches)
		}
	}
}

func TestOIDCFollowsKeyRotation(t *testing.T) {
	before, after := ecKey(t), ecKey(t)
	i := newIssuer(t, map[string]any{"1": before})
	o, elapsed := i.verifier(t)
	verify := func(kid string, key any) error {
		t.Helper()
		_, err := o.Verify(t.Context(), i.token(t, jose.ES256, kid, key))
		return err
	}
	if err := verify("1", before); err != nil {
		t.Fatal(err)
	}
	i.set(func(i *testIssuer) { i.keys = map[string]any{"1": before, "2": after} })
	if err := verify("2", after); problem.CodeOf(err) != problem.Unauthorized {
		t.Errorf("a new key within the delay: %v", err)
	}
	elapsed.Store(int64(refetchAfterSuccess))
	if err := verify("2", after); err != nil {
		t.Errorf("a new key after the delay: %v", err)
	}
	// The old key is withdrawn. No token has an unknown key, so only age triggers a fetch.
	i.set(func(i *testIssuer) { i.keys = map[string]any{"2": after} })
	if err := verify("1", before); err != nil {
		t.Errorf("a key at hand: %v", err)
	}
	elapsed.Store(int64(2 * refreshKeysAfter))
	if err := verify("2", after); err != nil { // starts the fetch in the background
		t.Errorf("a kept key: %v", err)
	}
	<-o.keys.group.DoChan("", func() (any, error) { return nil, nil }) // ends no earlier than that fetch
	if err := verify("1", before); problem.CodeOf(err) != problem.Unauthorized {
		t.Errorf("a withdrawn key: %v", err)
	}
}

// An issuer that cannot be asked is 503 and not ready, at most one try a
// second, and heals by itself. Keys at hand go on working for a day.
func TestOIDCIssuerDown(t *testing.T) {
	key := ecKey(t)
	down := func(w http.ResponseWriter) { http.Error(w, strings.Repeat("x", 5000), http.StatusBadGateway) }
	for name, fault := range map[string]func(*testIssuer){
		"discovery 502": func(i *testIssuer) { i.discovery = down },
		"discovery of another": func(i *testIssuer) {
			i.discovery = func(w http.ResponseWriter) { writeDiscovery(w, "https://other.example", i.URL+"/keys") }
		},
		"discovery text": func(i *testIssuer) { i.discovery = func(w http.ResponseWriter) { fmt.Fprint(w, "<html>") } },
		"no jwks_uri":    func(i *testIssuer) { i.discovery = func(w http.ResponseWriter) { writeDiscovery(w, i.URL, "") } },
		"jwks_uri in clear": func(i *testIssuer) {
			i.discovery = func(w http.ResponseWriter) { writeDiscovery(w, i.URL, "http://issuer.example/keys") }
		},
		"keys 502":  func(i *testIssuer) { i.jwks = down },
		"keys text": func(i *testIssuer) { i.jwks = func(w http.ResponseWriter) { fmt.Fprint(w, "<html>") } },
		"no keys":   func(i *testIssuer) { i.jwks = func(w http.ResponseWriter) { fmt.Fprint(w, `{"keys":[]}`) } },
		"keys too large": func(i *testIssuer) {
			i.jwks = func(w http.ResponseWriter) {
				_, _ = w.Write(bytes.Repeat([]byte(" "), maxFetchBytes))
				i.writeKeys(w)
			}
		},
		"symmetric key": func(i *testIssuer) {
			i.jwks = func(w http.ResponseWriter) { fmt.Fprint(w, `{"keys":[{"kty":"oct","k":"YWJj"}]}`) }
		},
		"redirect": func(i *testIssuer) {
			i.jwks = func(w http.ResponseWriter) { w.Header().Set("Location", i.URL+"/elsewhere"); w.WriteHeader(302) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t, map[string]any{"1": key})
			i.set(fault)
			o, elapsed := i.verifier(t)
			token := i.token(t, jose.ES256, "1", key)
			for range 3 {
				id, err := o.Verify(t.Context(), token)
				assertRefused(t, id, err, problem.Unavailable, i.URL, token)
				if len(err.Error()) > 800 {
					t.Errorf("the cause is %d bytes long", len(err.Error()))
				}
			}
			if got := i.fetches.Load(); got > 1 {
				t.Errorf("asked %d times within the delay", got)
			}
			if err := o.Ready(t.Context()); err == nil {
				t.Error("ready without keys")
			}
			if _, err := o.Verify(t.Context(), token); name == "jwks_uri in clear" && !strings.Contains(err.Error(), "must be an https URL") {
				t.Errorf("the cause is %v; want it refused before it is asked", err)
			}
			i.set(func(i *testIssuer) { i.discovery, i.jwks = nil, nil })
			elapsed.Store(int64(refetchAfterFailure))
			if err := o.Ready(t.Context()); err != nil {
				t.Errorf("healed, but not ready: %v", err)
			}
			if _, err := o.Verify(t.Context(), token); err != nil {
				t.Errorf("healed: %v", err)
			}
		})
	}
}

func TestOIDCKeysOutliveTheIssuerForADay(t *testing.T) {
	key := ecKey(t)
	i := newIssuer(t, map[string]any{"1": key})
	o, elapsed := i.verifier(t)
	if err := o.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	i.Close()
	token := i.token(t, jose.ES256, "1", key)
	elapsed.Store(int64(dropKeysAfter - time.Second))
	if _, err := o.Verify(t.Context(), token); err != nil {
		t.Errorf("just within a day: %v", err)
	}
	elapsed.Store(int64(dropKeysAfter))
	if _, err := o.Verify(t.Context(), token); problem.CodeOf(err) != problem.Unavailable {
		t.Errorf("after a day: %v", err)
	}
	if err := o.Ready(t.Context()); err == nil {
		t.Error("ready with keys of yesterday")
	}
}

// A caller that goes away is not held up by a hanging issuer, and does not end
// the fetch for the others.
func TestOIDCFetchIsShared(t *testing.T) {
	key := ecKey(t)
	i := newIssuer(t, map[string]any{"1": key})
	entered, release := make(chan struct{}), make(chan struct{})
	i.set(func(i *testIssuer) {
		i.discovery = func(w http.ResponseWriter) { close(entered); <-release; writeDiscovery(w, i.URL, i.URL+"/keys") }
	})
	o, _ := i.verifier(t)
	token := i.token(t, jose.ES256, "1", key)
	gone, cancel := context.WithCancel(t.Context())
	results := make(chan error, 4)
	for range cap(results) {
		go func() { _, err := o.Verify(t.Context(), token); results <- err }()
	}
	<-entered
	cancel()
	if _, err := o.Verify(gone, token); problem.CodeOf(err) != problem.Unavailable {
		t.Errorf("a caller who left: %v", err)
	}
	close(release)
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if got := i.fetches.Load(); got != 1 {
		t.Errorf("the keys were fetched %d times, want once", got)
	}
}

func TestNewOIDCRefuses(t *testing.T) {
	for _, c := range []struct{ issuer, audience, claim, want string }{
		{"", "a", "tenant", "must be a URL"},
		{"issuer.example", "a", "tenant", "must be a URL"},
		{"https://", "a", "tenant", "must be a URL"},
		{"https://u:p@issuer.example", "a", "tenant", "must be a URL"},
		{"http://issuer.example", "a", "tenant", "https"},
		{"http://127.0.0.1.example", "a", "tenant", "https"},
		{"ftp://issuer.example", "a", "tenant", "https"},
		{"https://issuer.example?x=1", "a", "tenant", "query"},
		{"https://issuer.example", "", "tenant", "audience"},
		{"https://issuer.example", "a", "", "claim"},
	} {
		if _, err := NewOIDC(c.issuer, c.audience, c.claim, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("NewOIDC(%q, %q, %q) = %v; want %q", c.issuer, c.audience, c.claim, err, c.want)
		}
	}
	for _, issuer := range []string{"https://issuer.example/pool", "http://127.0.0.1:8081", "http://[::1]:8081", "http://localhost:8081"} {
		if _, err := NewOIDC(issuer, "a", "tenant", nil); err != nil {
			t.Errorf("NewOIDC(%q): %v", issuer, err)
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"","y":""},{"kty":"oct","k":"YQ"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, _ := parseKeys(body)
		for _, key := range keys {
			if !key.IsPublic() || len(algorithmsOf(key.Key)) == 0 {
				t.Errorf("kept a key that must not verify signatures: %T", key.Key)
			}
		}
	})
}
