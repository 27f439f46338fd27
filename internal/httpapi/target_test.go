package httpapi_test

import (
	"context"
	"encoding/json"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/internal/lifecycle"
	"github.com/sluicehq/sluice/internal/netguard"
	"github.com/sluicehq/sluice/internal/problem"
)

// names is a netguard.Resolver that knows one host.
type names struct{}

func (names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if host == "public.example" {
		return []netip.Addr{netip.MustParseAddr("93.184.216.34")}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// Whatever is wrong with a target, the response names the field as the contract
// has it, the host, and what to do.
func TestRefusedTargetNamesItsField(t *testing.T) {
	const hook = `"callback_parameters":{"callback_url":"URL"}`
	const endpoint = `"s3_parameters":{"aws_access_key_id":"EXAMPLEKEYID","aws_secret_access_key":"clear-secret-access-key","aws_region":"auto","bucket":"my-events","endpoint":"URL"}`
	for field, target := range map[string]string{"callback_parameters.callback_url": hook, "s3_parameters.endpoint": endpoint} {
		for _, policy := range []netguard.Policy{netguard.Public, netguard.Private} {
			w := setup()
			w.deps.Integrations.(*lifecycle.Service).CheckTarget = netguard.New(policy, names{}).CheckURL
			w.want(t, 200, post(base, `{"id":"old","integration_type":"permanent",`+strings.Replace(target, "URL", "https://public.example/", 1)+`}`))
			w.want(t, 200, post(base+"/old/_stop", ""))
			for _, host := range []string{"none.example", "169.254.169.254", "2130706433", "[64:ff9b::a00:5]", "münchen.example"} {
				there := strings.Replace(target, "URL", "https://"+host+"/token-in-the-path", 1)
				shown := strings.Trim(host, "[]")
				for _, c := range []call{
					post(base, `{"id":"new","integration_type":"permanent",`+there+`}`),
					patch(base+"/old", `{`+there+`}`),
				} {
					wantTargetRefused(t, w.want(t, 400, c), field, shown)
				}
			}
		}
	}
}

func wantTargetRefused(t *testing.T, body, field, host string) {
	t.Helper()
	var e struct {
		Code    problem.Code `json:"error_code"`
		Message string
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatal(err)
	}
	m := e.Message
	if e.Code != problem.InvalidTarget || !strings.HasPrefix(m, field+" is refused: the host ") || !strings.Contains(m, `"`+host+`"`) ||
		!strings.Contains(m, "; ") || !strings.HasSuffix(m, ".") || strings.HasSuffix(m, "..") || strings.Contains(m, "token-in-the-path") {
		t.Errorf("%s: %q, want a sentence that begins with the field %s, and has the host and a way out", e.Code, m, field)
	}
}
