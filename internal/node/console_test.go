package node

import (
	"net/http"
	"strings"
	"testing"
)

// The console reads the tenant in a token by the claim that the server goes by. In tokens of the
// node's own key that is always the same.
func TestConsoleKnowsTheClaimOfTheTenant(t *testing.T) {
	for claim, change := range map[string]func(*Config){
		"tenant": func(c *Config) { c.TenantClaim = "https://example.com/tenant" },
		"https://example.com/tenant": func(c *Config) {
			c.TenantClaim, c.Issuer, c.Audience = "https://example.com/tenant", "https://id.invalid/", "sluice"
		},
	} {
		n := openNodeWith(t, t.TempDir(), change)
		if w := call(t, n, "acme", http.MethodGet, "/console/config.json", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"tenant_claim":"`+claim+`"`) {
			t.Errorf("%d %s, want the claim %s", w.Code, w.Body, claim)
		}
		closeNode(t, n)
	}
}
