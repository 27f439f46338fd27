package node

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/auth"
)

const (
	// rememberFor is how long a token stays valid without verifying it again. A
	// key that the issuer withdraws is trusted for that much longer.
	rememberFor = time.Minute
	// maxRemembered bounds the cache. When it is full, it is cleared, and the
	// tokens in use are verified again.
	maxRemembered = 10_000
)

// tokens caches verified tokens: verifying the signature takes longer than the rest
// of a publish call with one event. It stores hashes of tokens, and no token beyond
// its expiry. It implements auth.Verifier.
type tokens struct {
	verifier auth.Verifier
	now      func() time.Time

	mu    sync.Mutex
	known map[tokenHash]verified
}

type tokenHash [sha256.Size]byte

type verified struct {
	identity auth.Identity
	until    time.Time
}

func rememberTokens(v auth.Verifier, now func() time.Time) *tokens {
	return &tokens{verifier: v, now: now, known: make(map[tokenHash]verified)}
}

// Verify implements auth.Verifier.
func (t *tokens) Verify(ctx context.Context, rawToken string) (auth.Identity, error) {
	hash, now := sha256.Sum256([]byte(rawToken)), t.now()
	t.mu.Lock()
	known := t.known[hash]
	t.mu.Unlock()
	if now.Before(known.until) {
		return known.identity, nil
	}
	identity, err := t.verifier.Verify(ctx, rawToken)
	if err != nil {
		return identity, err
	}
	until := now.Add(rememberFor)
	if expiry := expiryOf(rawToken); expiry.Before(until) {
		until = expiry
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.known) >= maxRemembered {
		clear(t.known)
	}
	t.known[hash] = verified{identity, until}
	return identity, nil
}

// expiryOf returns the claim exp of a verified token, without the verifier's leeway,
// or the zero time if it cannot be read.
func expiryOf(rawToken string) time.Time {
	_, rest, _ := strings.Cut(rawToken, ".")
	payload, _, _ := strings.Cut(rest, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return time.Time{}
	}
	var claims struct {
		Expiry float64 `json:"exp"`
	}
	if json.Unmarshal(text, &claims) != nil || claims.Expiry <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(claims.Expiry), 0)
}
