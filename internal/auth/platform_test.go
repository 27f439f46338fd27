package auth

import "testing"

// A token that names a tenant acts for that one alone, and one whose tenant cannot be read
// acts for none: an issuer that lets its clients choose their scopes gives nobody all tenants.
func TestTheTokenOfATenantNeverActsForAnother(t *testing.T) {
	for name, replace := range map[string]map[string]string{
		"a tenant":         {"scope": `"tenants:any"`},
		"a null tenant":    {"scope": `"tenants:any"`, "tenant": "null"},
		"an empty tenant":  {"scope": `"tenants:any"`, "tenant": `""`},
		"a list":           {"scope": `"tenants:any"`, "tenant": `["acme"]`},
		"neither":          {"tenant": ""},
		"a similar scope":  {"scope": `"tenants:any:read tenants"`, "tenant": ""},
		"unreadable scope": {"scope": `{"tenants:any":true}`, "tenant": ""},
	} {
		id, err := testRules.identity([]byte(withClaims(replace)), testNow)
		if id.AnyTenant() || err == nil && id.Tenant != "acme" {
			t.Errorf("%s: got %+v, %v", name, id, err)
		}
	}
	if (Identity{}).AnyTenant() {
		t.Error("an identity without anything acts for every tenant")
	}
}
