package contract

import (
	"cmp"
	"os"
	"testing"

	"github.com/sluicehq/sluice/internal/client"
)

// secondsVariable says for how long the calls are tried.
const secondsVariable = "SLUICE_CONTRACT_SECONDS"

// TestCallsAreAsTheDocumentSays has schemathesis make calls from the document, valid ones and ones
// that it forbids, and compare the responses with it. testdata/schemathesis has what the document
// cannot express.
func TestCallsAreAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	program := tool(t, "venv/bin/schemathesis")
	n := startNode(t, "SLUICE_MAX_INTEGRATIONS=10000", "SLUICE_OPERATOR_TENANT=operator")
	token := n.token(t, "", "integrations:write", "events:publish", "tenants:any")
	c, err := client.New(n.url, token, false)
	if err != nil {
		t.Fatal(err)
	}
	refuse(t, c.For("acme"), "first")
	out := run(t, copyOf(t, "schemathesis"), program, "run", n.url+"/openapi.yaml", "--no-color",
		"--header", "Authorization: Bearer "+token, "--header", "Sluice-Tenant: acme",
		"--max-time", cmp.Or(os.Getenv(secondsVariable), "25"))
	t.Logf("%s", out)
}
