package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/google/go-cmp/cmp"

	openapi "github.com/sluicehq/sluice/api"
	"github.com/sluicehq/sluice/internal/httpapi"
	"github.com/sluicehq/sluice/internal/problem"
)

var requestID = regexp.MustCompile(`"request_id":"[^"]*"`)

// document is api/openapi.yaml, which every response is checked against.
type document struct {
	spec   *openapi3.T
	router routers.Router
}

var contract = load()

func load() document {
	openapi3filter.RegisterBodyDecoder("application/merge-patch+json", openapi3filter.JSONBodyDecoder)
	openapi3filter.RegisterBodyDecoder("application/x-ndjson",
		func(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
			text, err := io.ReadAll(body)
			return string(text), err
		})
	openapi3.DefineStringFormatValidator("uuid",
		openapi3.NewRegexpFormatValidator(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`))
	// RFC 3339 has small letters and leap seconds too.
	openapi3.DefineStringFormatValidator("date-time",
		openapi3.NewRegexpFormatValidator(`^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$`))
	spec, err := openapi3.NewLoader().LoadFromData(openapi.OpenAPI)
	if err != nil {
		panic(err)
	}
	router, err := legacy.NewRouter(spec)
	if err != nil {
		panic(err)
	}
	return document{spec, router}
}

// check fails for a response that the document does not allow, for an accepted
// request that it does not allow, and for a 500.
func (d document) check(t fataler, c call, rec *httptest.ResponseRecorder) {
	t.Helper()
	if err := d.violation(c, rec); err != nil {
		t.Errorf("%s %s %s %.300s\nreturned %d %.500s\n%v", c.method, c.path, c.media, c.body, rec.Code, rec.Body, err)
	}
}

func (d document) violation(c call, rec *httptest.ResponseRecorder) error {
	req := c.request()
	if req.URL.Path == base+"/" {
		req.URL.Path = base
	}
	route, params, err := d.router.FindRoute(req)
	for _, value := range params {
		// The router takes a path for that with an empty id at its end, and /_retry with a
		// method that it does not have for the id _retry.
		if value == "" || strings.HasPrefix(value, "_") {
			return d.violationOffPaths(c, rec)
		}
	}
	if err != nil {
		return d.violationOffPaths(c, rec)
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}
	if c.media == "" {
		req.Header.Set("Content-Type", jsonMedia)
	}
	input := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: options}
	if err := openapi3filter.ValidateRequest(req.Context(), input); err != nil && rec.Code < 400 {
		return fmt.Errorf("the request is not allowed, but was accepted: %w", err)
	}
	if rec.Code == http.StatusInternalServerError {
		return fmt.Errorf("an internal error")
	}
	return openapi3filter.ValidateResponse(req.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: rec.Code, Header: rec.Header(), Options: options,
		Body: io.NopCloser(bytes.NewReader(rec.Body.Bytes())),
	})
}

// violationOffPaths is for what the document has in words alone: unknown
// paths and methods, HEAD and OPTIONS, and the console.
func (d document) violationOffPaths(c call, rec *httptest.ResponseRecorder) error {
	switch {
	case c.method == "HEAD" || c.method == "OPTIONS":
		if rec.Body.Len() > 0 {
			return fmt.Errorf("a body")
		}
		return nil
	case strings.HasPrefix(c.path, "/console/") && rec.Code == http.StatusOK:
		return nil
	case rec.Code != http.StatusNotFound && rec.Code != http.StatusMethodNotAllowed:
		return fmt.Errorf("neither 404 nor 405")
	case rec.Code == http.StatusMethodNotAllowed && rec.Header().Get("Allow") == "":
		return fmt.Errorf("no Allow")
	}
	return d.isError(rec.Body.Bytes())
}

func (d document) isError(body []byte) error {
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return err
	}
	return d.spec.Components.Schemas["Error"].Value.VisitJSON(value, openapi3.EnableJSONSchema2020())
}

func TestDocumentIsValid(t *testing.T) {
	if err := contract.spec.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(contract.spec.OpenAPI, "3.1") {
		t.Errorf("version %s", contract.spec.OpenAPI)
	}
}

func TestDocumentHasTheCatalogueOfErrors(t *testing.T) {
	var want []any
	for _, code := range problem.Codes() {
		want = append(want, string(code))
	}
	if diff := cmp.Diff(want, contract.spec.Components.Schemas["Error"].Value.Properties["error_code"].Value.Enum); diff != "" {
		t.Error(diff)
	}
}

func TestDocumentHasTheRoutes(t *testing.T) {
	var documented []string
	for path, item := range contract.spec.Paths.Map() {
		for method, operation := range item.Operations() {
			scope := ""
			if operation.Security == nil {
				scope = " " + regexp.MustCompile("the\\s+scope\\s+`([^`]+)`").FindStringSubmatch(operation.Description)[1]
			}
			documented = append(documented, method+" "+path+scope)
		}
	}
	slices.Sort(documented)
	if diff := cmp.Diff(httpapi.RoutesForTest(setup().deps), documented); diff != "" {
		t.Error(diff)
	}
}

// TestResponsesAreCheckedAgainstTheDocument shows that check can fail.
func TestResponsesAreCheckedAgainstTheDocument(t *testing.T) {
	id := strings.Repeat("A", 26)
	tests := []struct {
		name   string
		call   call
		status int
		header http.Header
		body   string
	}{
		{"a field too many", get(base), 200, nil, `{"integrations":[],"x":1}`},
		{"both targets", get(base + "/a"), 200, nil, `{"id":"a","status":"running","integration_type":"permanent","callback_parameters":{"callback_url":"http://a"},"s3_parameters":{"aws_access_key_id":"a","aws_secret_access_key":"a","aws_region":"a","bucket":"a"}}`},
		{"time without milliseconds", get(base + "/a"), 200, nil, `{"id":"a","status":"running","integration_type":"permanent","starts_at":"2019-01-17T12:00:00Z","callback_parameters":{"callback_url":"http://a"}}`},
		{"unknown status", get(base + "/a"), 200, nil, `{"id":"a","status":"asleep","integration_type":"permanent","callback_parameters":{"callback_url":"http://a"}}`},
		{"no request id", get(base), 200, http.Header{"X-Request-Id": nil}, `{"integrations":[]}`},
		{"status not documented", get(base), 418, nil, `{}`},
		{"unknown code", get(base), 503, nil, `{"error_code":"oops","message":"m","request_id":"` + id + `"}`},
		{"no challenge", get(base), 401, nil, `{"error_code":"unauthorized","message":"m","request_id":"` + id + `"}`},
		{"an internal error", get(base), 500, nil, `{"error_code":"internal_error","message":"m","request_id":"` + id + `"}`},
		{"a body for done", remove(base + "/a"), 200, nil, `{"id":"a"}`},
		{"not JSON", get(base), 200, nil, `ok`},
		{"a bad request taken", post(base, `{"id":"a b"}`), 200, nil, `{"id":"a","status":"running","integration_type":"permanent","callback_parameters":{"callback_url":"http://a"}}`},
		{"a plain 404", get("/x"), 404, nil, "404 page not found"},
		{"a plain 405", call{method: "PUT", path: base}, 405, http.Header{"Allow": {"GET"}}, "no"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			rec.Header().Set("Content-Type", jsonMedia)
			rec.Header().Set("X-Request-Id", id)
			for name, values := range tt.header {
				rec.Header()[name] = values
			}
			rec.WriteHeader(tt.status)
			_, _ = rec.WriteString(tt.body)
			if err := contract.violation(tt.call, rec); err == nil {
				t.Error("not noticed")
			}
		})
	}
}
