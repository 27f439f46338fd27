package e2e

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	openapi "github.com/sluicehq/sluice/api"
)

// wantDocumented holds what a receiver got against the webhook in api/openapi.yaml: its
// headers, its body, and no header beside them.
func wantDocumented(t *testing.T, calls []wireCall) {
	t.Helper()
	spec, err := openapi3.NewLoader().LoadFromData(openapi.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	item := spec.Webhooks["event"]
	known := map[string]bool{"Content-Type": true, "Content-Length": true, "Authorization": true}
	for _, p := range item.Post.Parameters {
		known[http.CanonicalHeaderKey(p.Value.Name)] = true
	}
	seen := map[string]bool{}
	for _, c := range calls {
		if err := validate(t.Context(), spec, item, c); err != nil {
			t.Errorf("the call with %v and %.200s is not the documented one: %v", c.header, c.body, err)
		}
		for name := range c.header {
			seen[name] = true
		}
	}
	for name := range seen {
		if !known[name] {
			t.Errorf("the header %s is sent, but not documented", name)
		}
	}
	for name := range known {
		if !seen[name] {
			t.Errorf("the header %s is documented, but was never sent", name)
		}
	}
}

func validate(ctx context.Context, spec *openapi3.T, item *openapi3.PathItem, c wireCall) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "/", io.NopCloser(bytes.NewReader(c.body)))
	if err != nil {
		return err
	}
	req.Header = c.header
	return openapi3filter.ValidateRequest(ctx, &openapi3filter.RequestValidationInput{
		Request: req,
		Route:   &routers.Route{Spec: spec, PathItem: item, Method: http.MethodPost, Operation: item.Post},
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	})
}
