package scenario

import (
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	openapi "github.com/sluicehq/sluice/api"
)

// A call that is not in the list is not tried with other tenants' ids, without a scope, or
// with bad tokens.
func TestCallsAreThoseOfTheDocument(t *testing.T) {
	spec, err := openapi3.NewLoader().LoadFromData(openapi.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	var listed, documented []string
	for _, c := range slices.Concat(calls, operatorCalls, overTenants) {
		listed = append(listed, c.method+" "+c.path)
	}
	fill := strings.NewReplacer("{integration_id}", "ID", "{event_id}", "EVENT")
	for path, item := range spec.Paths.Map() {
		if !strings.HasPrefix(path, "/api/") {
			continue
		}
		for method := range item.Operations() {
			documented = append(documented, method+" "+fill.Replace(path))
		}
	}
	slices.Sort(listed)
	slices.Sort(documented)
	if !slices.Equal(listed, documented) {
		t.Errorf("the calls are\n%s\nwant\n%s", strings.Join(listed, "\n"), strings.Join(documented, "\n"))
	}
}
