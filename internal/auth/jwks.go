package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"

	"github.com/sluicehq/sluice/internal/problem"
)

const (
	fetchTimeout  = 10 * time.Second
	maxFetchBytes = 1 << 20 // per response of the issuer

	// A token with an unknown key triggers a fetch, because the key may be new.
	// These delays keep invalid tokens from flooding the issuer.
	refetchAfterSuccess = 10 * time.Second
	refetchAfterFailure = time.Second

	// Old keys are refreshed in the background, so that withdrawn ones disappear.
	// While the issuer is down, the old keys stay valid for a day.
	refreshKeysAfter = time.Hour
	dropKeysAfter    = 24 * time.Hour
)

// keySet caches the public keys of an issuer. It uses go-oidc's discovery but not
// its key set, which asks the issuer for every token with an unknown key, never
// drops a withdrawn one, and does not distinguish an unreachable issuer from a bad
// signature. It is safe for concurrent use.
type keySet struct {
	issuer string
	client *http.Client
	logger *slog.Logger
	group  singleflight.Group

	reported []refusedKey // by the last fetch; only one runs at a time

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time // when keys was fetched
	tried   time.Time // when the last attempt ended
	err     error     // of the last attempt
}

func newKeySet(issuer string, logger *slog.Logger) *keySet {
	return &keySet{issuer: issuer, logger: logger, client: &http.Client{
		Transport: boundedTransport{http.DefaultTransport},
		Timeout:   fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // fetch keys only from where discovery says
		},
	}}
}

// verify returns the payload of a token signed with one of the issuer's keys.
func (s *keySet) verify(ctx context.Context, jws *jose.JSONWebSignature, now func() time.Time) ([]byte, error) {
	if payload, ok := verifyWith(s.usable(now()), jws); ok {
		if s.due(now(), refreshKeysAfter) {
			s.group.DoChan("", func() (any, error) { return nil, s.update(now) })
		}
		return payload, nil
	}
	keys, err := s.refresh(ctx, now)
	if err != nil {
		return nil, problem.Wrap(err, problem.Unavailable, "The access token cannot be verified now, because the keys of the issuer %s cannot be fetched; try again.", s.issuer)
	}
	if payload, ok := verifyWith(keys, jws); ok {
		return payload, nil
	}
	return nil, unauthorized("The access token is not signed with a key of the issuer %s.", s.issuer)
}

func verifyWith(keys []jose.JSONWebKey, jws *jose.JSONWebSignature) ([]byte, bool) {
	header := jws.Signatures[0].Header
	for _, key := range keys {
		if header.KeyID != "" && key.KeyID != header.KeyID {
			continue
		}
		if key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		if payload, err := jws.Verify(key.Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// usable returns the cached keys, nil if they are too old.
func (s *keySet) usable(now time.Time) []jose.JSONWebKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.fetched) >= dropKeysAfter {
		return nil
	}
	return s.keys
}

// due reports whether the keys are older than age and the delay after the last
// attempt is over.
func (s *keySet) due(now time.Time, age time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	delay := refetchAfterSuccess
	if s.err != nil {
		delay = refetchAfterFailure
	}
	return now.Sub(s.fetched) >= age && (s.tried.IsZero() || now.Sub(s.tried) >= delay)
}

// refresh fetches the keys, unless that was just attempted, and returns them or
// the error of the last attempt. Concurrent callers share one fetch, which
// continues if one of them gives up.
func (s *keySet) refresh(ctx context.Context, now func() time.Time) ([]jose.JSONWebKey, error) {
	done := s.group.DoChan("", func() (any, error) { return nil, s.update(now) })
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case result := <-done:
		return s.usable(now()), result.Err
	}
}

func (s *keySet) update(now func() time.Time) error {
	if !s.due(now(), 0) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	keys, err := s.fetch(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried, s.err = now(), err
	if err == nil {
		s.keys, s.fetched = keys, s.tried
	}
	return err
}

func (s *keySet) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, s.client), s.issuer)
	if err != nil {
		return nil, fmt.Errorf("discovery at the issuer %s failed: %w", s.issuer, shortened(err))
	}
	var metadata struct {
		JWKS string `json:"jwks_uri"`
	}
	if err := provider.Claims(&metadata); err != nil {
		return nil, err
	}
	if err := checkURL(metadata.JWKS); err != nil {
		return nil, fmt.Errorf("the jwks_uri %q of the issuer %s is invalid: it %w", metadata.JWKS, s.issuer, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, metadata.JWKS, nil)
	if err != nil {
		return nil, err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s returned %s, not 200", metadata.JWKS, response.Status)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", metadata.JWKS, err)
	}
	keys, refused := parseKeys(body)
	s.report(refused)
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s contains no key that can verify a signature%s", metadata.JWKS, firstOf(refused))
	}
	return keys, nil
}

// report tells the operator of the keys that are refused, once for each. Only one
// fetch at a time calls it.
func (s *keySet) report(refused []refusedKey) {
	for _, key := range refused {
		if !slices.Contains(s.reported, key) {
			s.logger.Warn("key of the issuer is refused; tokens signed with it get a 401", "issuer", s.issuer, "kid", key.kid, "reason", key.why)
		}
	}
	s.reported = refused
}

// firstOf names the first of the keys that are refused, as the end of an error, or "".
func firstOf(refused []refusedKey) string {
	if len(refused) == 0 {
		return ""
	}
	return fmt.Sprintf("; %q is refused: %s", refused[0].kid, refused[0].why)
}

// boundedTransport limits response bodies, because go-oidc reads them whole.
type boundedTransport struct{ next http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxFetchBytes)
	}
	return response, err
}

// shortened truncates the text of err: go-oidc includes the whole response, which
// may be a page of HTML. A truncated error wraps nothing.
func shortened(err error) error {
	const most = 300
	if text := err.Error(); len(text) > most {
		return errors.New(text[:most] + "…")
	}
	return err
}
