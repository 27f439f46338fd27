package auth

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/problem"
)

func TestScopes(t *testing.T) {
	grants := map[string][]string{ // scope held: scopes it gives
		IntegrationsRead:    {IntegrationsRead},
		IntegrationsWrite:   {IntegrationsRead, IntegrationsWrite},
		EventsPublish:       {EventsPublish},
		"":                  nil,
		"integrations":      nil,
		"integrations:*":    nil,
		"INTEGRATIONS:READ": nil,
	}
	for held, gives := range grants {
		for _, scope := range Scopes() {
			id := Identity{Tenant: "acme", Scopes: []string{held}}
			want := slices.Contains(gives, scope)
			if got := id.Has(scope); got != want {
				t.Errorf("%q: Has(%s) = %v, want %v", held, scope, got, want)
			}
			err := RequireScope(id, scope)
			if (err == nil) != want {
				t.Errorf("%q: RequireScope(%s) = %v", held, scope, err)
			}
			if err != nil && (problem.CodeOf(err) != problem.Forbidden || !strings.Contains(problem.MessageOf(err), scope)) {
				t.Errorf("%q: RequireScope(%s) = %v; want forbidden, naming the scope", held, scope, err)
			}
		}
	}
}

// The words of the contract.
func TestScopeNames(t *testing.T) {
	if got, want := fmt.Sprint(Scopes()), "[integrations:read integrations:write events:publish]"; got != want {
		t.Errorf("Scopes() = %s, want %s", got, want)
	}
}

// assertRefused asserts the code, that the message has want in it, and that
// neither message nor log text repeats the token.
func assertRefused(t *testing.T, id Identity, err error, code problem.Code, want, token string) {
	t.Helper()
	if err == nil {
		t.Errorf("accepted as %+v; want %s: %s", id, code, want)
		return
	}
	if id.Tenant != "" || id.Scopes != nil {
		t.Errorf("an identity together with an error: %+v", id)
	}
	if problem.CodeOf(err) != code || !strings.Contains(problem.MessageOf(err), want) {
		t.Errorf("got %s: %q; want %s with %q", problem.CodeOf(err), problem.MessageOf(err), code, want)
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) >= 8 && strings.Contains(err.Error(), part) {
			t.Errorf("the error repeats the token: %v", err)
		}
	}
}
