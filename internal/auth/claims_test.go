package auth

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/usertext"
)

var (
	testNow   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	testRules = claimRules{issuer: "https://issuer.example", audience: "sluice-api", tenantClaim: "tenant"}
)

// withClaims is a good payload with members replaced (or, for "", removed).
func withClaims(replace map[string]string) string {
	members := map[string]string{
		"iss": `"https://issuer.example"`, "aud": `"sluice-api"`, "tenant": `"acme"`,
		"exp": fmt.Sprint(testNow.Unix() + 600), "scope": `"integrations:read"`,
	}
	for name, value := range replace {
		members[name] = value
	}
	var b strings.Builder
	for name, value := range members {
		if value != "" {
			fmt.Fprintf(&b, ",%q:%s", name, value)
		}
	}
	return "{" + strings.TrimPrefix(b.String(), ",") + "}"
}

func at(d time.Duration) string { return fmt.Sprint(testNow.Add(d).Unix()) }

func TestClaimsAccepted(t *testing.T) {
	for name, c := range map[string]struct {
		replace map[string]string
		tenant  string
		scopes  []string
	}{
		"as issued":                 {nil, "acme", []string{"integrations:read"}},
		"platform token":            {map[string]string{"tenant": "", "scope": `"tenants:any a"`}, "", []string{"tenants:any", "a"}},
		"audience among others":     {map[string]string{"aud": `["x","sluice-api"]`}, "acme", []string{"integrations:read"}},
		"several scopes":            {map[string]string{"scope": `" a  b\tc "`}, "acme", []string{"a", "b", "c"}},
		"scp string":                {map[string]string{"scope": "", "scp": `"a b"`}, "acme", []string{"a", "b"}},
		"scp array":                 {map[string]string{"scope": "", "scp": `["a","b c"]`}, "acme", []string{"a", "b", "c"}},
		"scope and scp":             {map[string]string{"scope": `"a"`, "scp": `["b"]`}, "acme", []string{"a", "b"}},
		"no scopes":                 {map[string]string{"scope": ""}, "acme", nil},
		"null scopes":               {map[string]string{"scope": "null", "scp": "null"}, "acme", nil},
		"expired within the leeway": {map[string]string{"exp": at(-29 * time.Second)}, "acme", []string{"integrations:read"}},
		"exp with a fraction":       {map[string]string{"exp": at(time.Hour) + ".75"}, "acme", []string{"integrations:read"}},
		"exp with an exponent":      {map[string]string{"exp": "2e9"}, "acme", []string{"integrations:read"}},
		"nbf and iat in leeway":     {map[string]string{"nbf": at(Leeway), "iat": at(Leeway)}, "acme", []string{"integrations:read"}},
		"nbf and iat null":          {map[string]string{"nbf": "null", "iat": "null"}, "acme", []string{"integrations:read"}},
		"longest tenant":            {map[string]string{"tenant": `"` + strings.Repeat("é", 64) + `"`}, strings.Repeat("é", 64), []string{"integrations:read"}},
		"tenant with space":         {map[string]string{"tenant": `"Ä & Co. #1"`}, "Ä & Co. #1", []string{"integrations:read"}},
		"unknown claims":            {map[string]string{"x": `{"deep":[[[]]]}`}, "acme", []string{"integrations:read"}},
	} {
		id, err := testRules.identity([]byte(withClaims(c.replace)), testNow)
		if diff := cmp.Diff(Identity{c.tenant, c.scopes}, id); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestClaimsRefused(t *testing.T) {
	const notATime = "must be a time in seconds"
	for name, c := range map[string]struct{ claim, value, want string }{
		"other issuer":          {"iss", `"https://evil.example"`, "claim iss must be"},
		"issuer with a slash":   {"iss", `"https://issuer.example/"`, "claim iss must be"},
		"issuer an array":       {"iss", `["https://issuer.example"]`, "claim iss must be"},
		"no issuer":             {"iss", "", "claim iss must be"},
		"other audience":        {"aud", `"other-api"`, "claim aud must contain"},
		"other audiences":       {"aud", `["a","b"]`, "claim aud must contain"},
		"audience prefix":       {"aud", `"sluice-api2"`, "claim aud must contain"},
		"no audience":           {"aud", "", "claim aud must contain"},
		"audience a number":     {"aud", `[1,"sluice-api"]`, "claim aud must contain"},
		"audience with null":    {"aud", `[null,"sluice-api"]`, "claim aud must contain"},
		"no exp":                {"exp", "", "needs the claim exp"},
		"exp null":              {"exp", "null", "needs the claim exp"},
		"exp a string":          {"exp", `"2000000000"`, notATime},
		"exp an object":         {"exp", `{}`, notATime},
		"exp far out":           {"exp", "1e300", notATime},
		"exp over int64":        {"exp", "9223372036854775808", notATime},
		"exp out of range":      {"exp", "1e999", notATime},
		"expired":               {"exp", at(-time.Hour), "expired at 2026-03-01T11:00:00Z"},
		"expired by the leeway": {"exp", at(-Leeway), "expired at"},
		"nbf in the future":     {"nbf", at(31 * time.Second), "not valid before 2026-03-01T12:00:31Z"},
		"nbf a string":          {"nbf", `"x"`, notATime},
		"nbf wrapping":          {"nbf", "9223372036854775807", notATime},
		"iat in the future":     {"iat", at(31 * time.Second), "claim iat"},
		"no tenant":             {"tenant", "", "in its claim tenant"},
		"tenant null":           {"tenant", "null", "in its claim tenant"},
		"tenant a number":       {"tenant", "7", "in its claim tenant"},
		"tenant an array":       {"tenant", `["acme"]`, "in its claim tenant"},
		"tenant empty":          {"tenant", `""`, "it is empty"},
		"tenant too long":       {"tenant", `"` + strings.Repeat("é", 64) + `x"`, "longer than 128 bytes"},
		"tenant with slash":     {"tenant", `"a/b"`, "contains a slash"},
		"tenant with control":   {"tenant", `"a\u0000b"`, "control character"},
		"tenant with newline":   {"tenant", `"a\nb"`, "control character"},
		"tenant with C1":        {"tenant", `"a\u0085b"`, "control character"},
		"tenant with ZWSP":      {"tenant", `"ac\u200bme"`, "has an invisible character (U+200B) at position 3"},
		"tenant with bidi":      {"tenant", `"acme\u202e"`, "has an invisible character (U+202E) at position 5"},
		"tenant with NBSP":      {"tenant", `"ac\u00a0me"`, "has a special space (U+00A0) at position 3"},
		"tenant after a space":  {"tenant", `" acme"`, "begins with a space"},
		"tenant before a space": {"tenant", `"acme "`, "ends with a space"},
		"tenant dot":            {"tenant", `"."`, "is a path"},
		"tenant dots":           {"tenant", `".."`, "is a path"},
		"scope a number":        {"scope", "1", "claim scope"},
		"scp a number":          {"scp", "1", "claim scp"},
		"scp with a null":       {"scp", `["a",null]`, "claim scp"},
	} {
		t.Run(name, func(t *testing.T) {
			id, err := testRules.identity([]byte(withClaims(map[string]string{c.claim: c.value})), testNow)
			assertRefused(t, id, err, problem.Unauthorized, c.want, "")
		})
	}
	good := withClaims(nil)
	for name, payload := range map[string]string{
		"empty": "", "null": "null", "array": "[]", "text": "hello", "half": good[:len(good)/2],
		"two objects": good + good, "a name twice": `{"tenant":"other",` + good[1:],
		"invalid UTF-8":  strings.Replace(good, "acme", "ac\xffme", 1),
		"lone surrogate": strings.Replace(good, "acme", `\ud800`, 1),
		"deep":           strings.Repeat("[", 1<<14),
	} {
		t.Run(name, func(t *testing.T) {
			id, err := testRules.identity([]byte(payload), testNow)
			assertRefused(t, id, err, problem.Unauthorized, "not a JSON object", "")
		})
	}
}

// A claim of another name holds the tenant, and a claim "tenant" does not.
func TestTenantClaimSetting(t *testing.T) {
	rules := testRules
	rules.tenantClaim = "https://example.com/org"
	id, err := rules.identity([]byte(withClaims(map[string]string{"https://example.com/org": `"globex"`})), testNow)
	if err != nil || id.Tenant != "globex" {
		t.Errorf("got %+v, %v", id, err)
	}
	id, err = rules.identity([]byte(withClaims(nil)), testNow)
	assertRefused(t, id, err, problem.Unauthorized, "in its claim https://example.com/org", "")
}

func FuzzClaims(f *testing.F) {
	f.Add(withClaims(nil))
	f.Add(withClaims(map[string]string{"aud": `["a"]`, "scp": `["a"]`, "nbf": "1.5", "iat": "-1"}))
	f.Add(`{"exp":1e400}`)
	f.Fuzz(func(t *testing.T, payload string) {
		id, err := testRules.identity([]byte(payload), testNow)
		if err != nil {
			if problem.CodeOf(err) != problem.Unauthorized {
				t.Errorf("code %s: %v", problem.CodeOf(err), err)
			}
			return
		}
		if err := usertext.CheckTenant(id.Tenant); err != nil {
			t.Errorf("tenant %q %v", id.Tenant, err)
		}
		for _, scope := range id.Scopes {
			if scope == "" || strings.ContainsAny(scope, " \t\n") {
				t.Errorf("scope %q", scope)
			}
		}
	})
}
