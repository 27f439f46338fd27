package auth

import (
	"encoding/json"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluicehq/sluice/internal/problem"
)

// The claims of testdata/claims.json, which TestSharedClaims of package gateway
// plays against the other shape. A row about scope is one about scp as well.
func TestSharedClaims(t *testing.T) {
	text, err := os.ReadFile("testdata/claims.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Name    string
		Claims  map[string]json.RawMessage
		Without []string           // of the claims that every row has
		Times   map[string]float64 // claims that are times, in seconds from now
		Tenant  string
		Scopes  []string
		Refused string // part of the message
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		claims := map[string]any{"iss": testRules.issuer, "aud": testRules.audience, "tenant": "acme", "exp": testNow.Unix() + 600}
		for _, name := range row.Without {
			delete(claims, name)
		}
		for name, value := range row.Claims {
			claims[name] = value
		}
		for name, seconds := range row.Times {
			claims[name] = float64(testNow.Unix()) + seconds
		}
		playClaims(t, row.Name, claims, Identity{row.Tenant, row.Scopes}, row.Refused)
		if scope, ok := claims["scope"]; ok && claims["scp"] == nil {
			claims = maps.Clone(claims)
			delete(claims, "scope")
			claims["scp"] = scope
			playClaims(t, row.Name+", in scp", claims, Identity{row.Tenant, row.Scopes}, strings.Replace(row.Refused, "scope", "scp", 1))
		}
	}
}

func playClaims(t *testing.T, name string, claims map[string]any, want Identity, refused string) {
	t.Run(name, func(t *testing.T) {
		payload, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		id, err := testRules.identity(payload, testNow)
		if refused != "" {
			assertRefused(t, id, err, problem.Unauthorized, refused, "")
			return
		}
		if diff := cmp.Diff(want, id, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}
