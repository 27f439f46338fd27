package node

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/auth"
)

// countingVerifier takes every token while it is in order, and counts.
type countingVerifier struct {
	calls int
	err   error
}

func (v *countingVerifier) Verify(_ context.Context, rawToken string) (auth.Identity, error) {
	v.calls++
	return auth.Identity{Tenant: rawToken[len(rawToken)-1:]}, v.err
}

func tokenWith(claims, signature string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "." + signature
}

func TestTokensAreRememberedForAMinute(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	expiring := func(in time.Duration) string {
		return tokenWith(fmt.Sprintf(`{"exp":%d}`, start.Add(in).Unix()), "a")
	}
	for name, tt := range map[string]struct {
		token string
		after time.Duration
		calls int
	}{
		"at once":             {expiring(time.Hour), 0, 1},
		"within the minute":   {expiring(time.Hour), rememberFor - 1, 1},
		"after a minute":      {expiring(time.Hour), rememberFor, 2},
		"before it expires":   {expiring(10 * time.Second), 9 * time.Second, 1},
		"when it has expired": {expiring(10 * time.Second), 10 * time.Second, 2},
		"expired, in leeway":  {expiring(-5 * time.Second), 0, 2},
		"without expiry":      {tokenWith(`{}`, "a"), 0, 2},
		"expiry of a string":  {tokenWith(`{"exp":"soon"}`, "a"), 0, 2},
		"no JWT":              {"opaque", 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			now, verifier := start, new(countingVerifier)
			tokens := rememberTokens(verifier, func() time.Time { return now })
			for range 2 {
				id, err := tokens.Verify(t.Context(), tt.token)
				if err != nil || id.Tenant != tt.token[len(tt.token)-1:] {
					t.Errorf("Verify = %v, %v", id, err)
				}
				now = now.Add(tt.after)
			}
			if verifier.calls != tt.calls {
				t.Errorf("2 calls were verified %d times, want %d", verifier.calls, tt.calls)
			}
		})
	}
}

func TestTokensThatAreRefusedAreNotRemembered(t *testing.T) {
	verifier := &countingVerifier{err: errors.New("no")}
	tokens := rememberTokens(verifier, time.Now)
	token := tokenWith(`{"exp":99999999999}`, "a")
	if _, err := tokens.Verify(t.Context(), token); err == nil {
		t.Error("a token that was refused is taken")
	}
	if _, err := tokens.Verify(t.Context(), token); err == nil || verifier.calls != 2 {
		t.Errorf("the second call: error %v, verified %d times, want 2", err, verifier.calls)
	}
}

// A token is known by all of it: one with the same claims and another signature
// is another.
func TestTokensAreKnownByTheirSignatureToo(t *testing.T) {
	verifier := new(countingVerifier)
	tokens := rememberTokens(verifier, time.Now)
	for _, signature := range []string{"a", "b"} {
		if id, err := tokens.Verify(t.Context(), tokenWith(`{"exp":99999999999}`, signature)); err != nil || id.Tenant != signature {
			t.Errorf("Verify = %v, %v, want tenant %s", id, err, signature)
		}
	}
	if verifier.calls != 2 {
		t.Errorf("2 tokens were verified %d times", verifier.calls)
	}
}

func TestRememberedTokensAreBounded(t *testing.T) {
	tokens := rememberTokens(new(countingVerifier), time.Now)
	for i := range maxRemembered + 10 {
		_, _ = tokens.Verify(t.Context(), tokenWith(`{"exp":99999999999}`, fmt.Sprint(i)))
	}
	if n := len(tokens.known); n > maxRemembered {
		t.Errorf("%d tokens are remembered", n)
	}
}
