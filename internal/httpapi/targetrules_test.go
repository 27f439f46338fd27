package httpapi_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// A client that checks what it sends by the document is told there what the service refuses.
func TestDocumentHasTheRulesOfTargets(t *testing.T) {
	rules := []struct {
		schema, stands string // where the value stands in the registration
		values         []string
	}{
		{"Bucket", "my-events", []string{
			"abc", "ab", "", "a.b", "a-b.c1", "-ab", "ab-", "a..b", "a.-b", "a-.b", ".ab", "ABC", "a_b", "a b",
			strings.Repeat("a", 63), strings.Repeat("a", 64),
		}},
		{"Region", "eu-central-1", []string{"us-east-1", "x", "", "eu_central", "é", strings.Repeat("a", 64), strings.Repeat("a", 65)}},
		{"AccessKeyId", "EXAMPLEKEYID", []string{
			"A", "", "a/b", "a,b", "a=b", "a b", "é", "!~+-.0<>", strings.Repeat("a", 128), strings.Repeat("a", 129),
		}},
	}
	for _, r := range rules {
		schema := contract.spec.Components.Schemas[r.schema].Value
		for _, value := range r.values {
			rec := httptest.NewRecorder()
			setup().api.ServeHTTP(rec, post(base, strings.Replace(bucket, r.stands, value, 1)).request())
			err := schema.VisitJSON(value, openapi3.EnableJSONSchema2020())
			if (rec.Code == 200) != (err == nil) {
				t.Errorf("%s %q: status %d, the document: %v", r.schema, value, rec.Code, err)
			}
		}
	}
}
