package gateway

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/test/aws/httpfront"
)

// verdict is the expected result of a row of the shared claims.
type verdict struct {
	Tenant  string
	Scopes  []string
	Refused string // part of the message, or "authorizer", which rejects the token itself
}

// The claims of package auth's testdata/claims.json, as signed tokens through the
// authorizer of an HTTP API. A single node and AWS give the same verdict unless a row
// has on_aws: there the gateway passes an ambiguous claim, or decides before the
// function does.
func TestSharedClaims(t *testing.T) {
	text, err := os.ReadFile("../auth/testdata/claims.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Name    string
		Claims  map[string]json.RawMessage
		Without []string
		Times   map[string]float64
		verdict
		OnAWS *verdict `json:"on_aws"`
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	issuer, err := httpfront.NewIssuer("https://issuer.example", "sluice-api")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		want := row.verdict
		if row.OnAWS != nil {
			want = *row.OnAWS
		}
		claims := map[string]any{"tenant": "acme"}
		for _, name := range row.Without {
			claims[name] = nil
		}
		for name, value := range row.Claims {
			claims[name] = value
		}
		playClaims(t, row.Name, issuer, claims, row.Times, want)
		if scope, ok := claims["scope"]; ok && claims["scp"] == nil {
			claims = maps.Clone(claims)
			delete(claims, "scope")
			claims["scp"] = scope
			want.Refused = strings.Replace(want.Refused, "scope", "scp", 1)
			playClaims(t, row.Name+", in scp", issuer, claims, row.Times, want)
		}
	}
}

// playClaims runs in a synctest bubble, where no time passes between the issue of a token
// and its verification.
func playClaims(t *testing.T, name string, issuer *httpfront.Issuer, claims map[string]any, times map[string]float64, want verdict) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			all := maps.Clone(claims)
			for name, seconds := range times {
				all[name] = float64(time.Now().Unix()) + seconds
			}
			id, err := verify(t, issuer, all)
			if want.Refused != "" {
				if problem.CodeOf(err) != problem.Unauthorized || !strings.Contains(problem.MessageOf(err), want.Refused) {
					t.Errorf("got %+v, %v; want it refused with %q", id, err, want.Refused)
				}
				return
			}
			if diff := cmp.Diff(auth.Identity{Tenant: want.Tenant, Scopes: want.Scopes}, id, cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	})
}

// verify returns the Verifier's result for a call with these claims.
func verify(t *testing.T, issuer *httpfront.Issuer, claims map[string]any) (id auth.Identity, err error) {
	t.Helper()
	err = problem.New(problem.Unauthorized, "refused by the authorizer")
	function := lambda{New(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id, err = Verifier{TenantClaim: "tenant"}.Verify(r.Context(), "")
	}))}
	front, failed := httpfront.New(httpfront.Options{Invoker: function, JWT: issuer.Authorizer()})
	if failed != nil {
		t.Fatal(failed)
	}
	token, failed := issuer.Token(claims)
	if failed != nil {
		t.Fatal(failed)
	}
	r := httptest.NewRequest("GET", "/", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	front.ServeHTTP(httptest.NewRecorder(), r)
	return id, err
}

// lambda runs a Handler as the function of an HTTP API.
type lambda struct{ handle Handler }

func (l lambda) Invoke(ctx context.Context, _ string, payload []byte) ([]byte, string, error) {
	var req events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(payload, &req); err != nil {
		return nil, "", err
	}
	res, err := l.handle(ctx, req)
	if err != nil {
		return nil, "", err
	}
	result, err := json.Marshal(res)
	return result, "", err
}
