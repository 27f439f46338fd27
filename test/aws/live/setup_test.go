// Package live plays the scenarios against an existing deployment, or against
// functions on this machine that use the AWS services at an endpoint. Environment
// variables configure it; docs/testing.md lists them.
package live

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// required returns environment variables, all of which must be set.
func required(names ...string) ([]string, error) {
	var values, missing []string
	for _, name := range names {
		value := os.Getenv(name)
		if value == "" {
			missing = append(missing, name)
		}
		values = append(values, value)
	}
	if missing != nil {
		return nil, fmt.Errorf("set %s; see docs/testing.md", strings.Join(missing, ", "))
	}
	return values, nil
}

// token returns an access token for a tenant with scopes.
type token func(tenant string, scopes ...string) (string, error)

// tokens chooses the source of tokens.
func tokens(ctx context.Context, tenantClaim string) (token, error) {
	if command := os.Getenv("SLUICE_TEST_TOKEN_COMMAND"); command != "" {
		return fromCommand(ctx, command), nil
	}
	values, err := required("SLUICE_TEST_ISSUER", "SLUICE_TEST_AUDIENCE", "SLUICE_TEST_KEY")
	if err != nil {
		return nil, fmt.Errorf("no source of access tokens: set SLUICE_TEST_TOKEN_COMMAND or, for your own issuer, %w", err)
	}
	text, err := os.ReadFile(values[2])
	if err != nil {
		return nil, err
	}
	return fromKey(values[0], values[1], tenantClaim, text)
}

// commandTime limits one run of the token command.
const commandTime = time.Minute

// fromCommand runs a shell command that prints a token. It gets the tenant as $1 and
// the scopes, separated by spaces, as $2.
func fromCommand(ctx context.Context, command string) token {
	return func(tenant string, scopes ...string) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, commandTime)
		defer cancel()
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command, "sh", tenant, strings.Join(scopes, " "))
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("SLUICE_TEST_TOKEN_COMMAND: %w", err)
		}
		printed := strings.TrimSpace(string(out))
		if printed == "" {
			return "", errors.New("SLUICE_TEST_TOKEN_COMMAND printed no token")
		}
		return printed, nil
	}
}

// fromKey signs tokens with a private RSA key, a JWK, whose public key is in the
// issuer's JWKS.
func fromKey(issuer, audience, tenantClaim string, text []byte) (token, error) {
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(text); err != nil || key.IsPublic() || key.KeyID == "" {
		return nil, errors.New("SLUICE_TEST_KEY must name a file with a private JWK that has a kid")
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("SLUICE_TEST_KEY: %w", err)
	}
	return func(tenant string, scopes ...string) (string, error) {
		now := time.Now()
		claims := map[string]any{
			"iss": issuer, "aud": audience, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
			tenantClaim: tenant, "scope": strings.Join(scopes, " "),
		}
		if tenant == "" { // a platform token
			delete(claims, tenantClaim)
		}
		return jwt.Signed(signer).Claims(claims).Serialize()
	}, nil
}

// publicURL returns a receiver's external URL: below the tunnel's URL, with its port
// as the first part of the path.
func publicURL(tunnel, local string) (string, error) {
	at, err := url.Parse(local)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(tunnel, "/") + "/" + at.Port(), nil
}

// receivers is the local end of the tunnel: it forwards requests for a publicURL. If
// the receiver disconnects or does not exist, the call gets no response.
func receivers() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			port, rest, _ := strings.Cut(strings.TrimPrefix(r.In.URL.Path, "/"), "/")
			r.Out.URL.Scheme, r.Out.URL.Host = "http", "127.0.0.1:"+port
			r.Out.URL.Path, r.Out.URL.RawPath = "/"+rest, ""
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
}
