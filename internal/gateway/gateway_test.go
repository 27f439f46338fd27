package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/httpapi"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
)

// serve passes a request to a handler and returns the response.
func serve(t *testing.T, req events.APIGatewayV2HTTPRequest, handle http.HandlerFunc) events.APIGatewayV2HTTPResponse {
	t.Helper()
	if req.RequestContext.HTTP.Method == "" {
		req.RequestContext.HTTP.Method = "GET"
	}
	req.RequestContext.DomainName = "id.execute-api.eu-central-1.amazonaws.com"
	res, err := New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handle(w, r)
		_, _ = w.Write(nil) // a 200, unless another status was written
	}))(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestPaths(t *testing.T) {
	for _, c := range []struct {
		name, raw, stage string
		path, escaped    string
	}{
		{"root", "/", "$default", "/", "/"},
		{"empty", "", "$default", "/", "/"},
		{"plain", "/api/v1/org/events", "$default", "/api/v1/org/events", "/api/v1/org/events"},
		{"trailing slash", "/api/v1/", "$default", "/api/v1/", "/api/v1/"},
		{"encoded", "/a/%C3%BC%2Fb", "$default", "/a/ü/b", "/a/%C3%BC%2Fb"},
		{"decoded by the gateway", "/a/ü b", "$default", "/a/ü b", "/a/%C3%BC%20b"},
		{"a single percent sign", "/a/100%", "$default", "/a/100%", "/a/100%25"},
		{"a question mark that was encoded", "/a/b?c", "$default", "/a/b?c", "/a/b%3Fc"},
		{"double slash", "//evil.example.com/a", "$default", "//evil.example.com/a", "//evil.example.com/a"},
		{"stage prefix", "/prod/api/v1/org/events", "prod", "/api/v1/org/events", "/api/v1/org/events"},
		{"stage alone", "/prod", "prod", "/", "/"},
		{"stage that the path only begins like", "/production/a", "prod", "/production/a", "/production/a"},
		{"stage removed by a custom domain", "/api/v1", "prod", "/api/v1", "/api/v1"},
		{"a default stage's path like a stage", "/$default/a", "$default", "/$default/a", "/$default/a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := events.APIGatewayV2HTTPRequest{RawPath: c.raw, RawQueryString: "q=1"}
			req.RequestContext.Stage = c.stage
			serve(t, req, func(_ http.ResponseWriter, r *http.Request) {
				if r.URL.Path != c.path || r.URL.EscapedPath() != c.escaped || r.URL.RawQuery != "q=1" {
					t.Errorf("got path %q, escaped %q, query %q; want %q, %q, q=1", r.URL.Path, r.URL.EscapedPath(), r.URL.RawQuery, c.path, c.escaped)
				}
				if r.URL.Host != "id.execute-api.eu-central-1.amazonaws.com" {
					t.Errorf("the host became %q", r.URL.Host)
				}
			})
		})
	}
}

func TestBodies(t *testing.T) {
	const text = "{\"name\":\"order.created\",\"payload\":{\"a\":\"\\u0000ü\"}}\n"
	for name, req := range map[string]events.APIGatewayV2HTTPRequest{
		"plain":     {Body: text},
		"in Base64": {Body: base64.StdEncoding.EncodeToString([]byte(text)), IsBase64Encoded: true},
	} {
		t.Run(name, func(t *testing.T) {
			req.RawPath, req.RequestContext.HTTP.Method = "/", "POST"
			res := serve(t, req, func(w http.ResponseWriter, r *http.Request) {
				got, err := io.ReadAll(r.Body)
				if err != nil || string(got) != text || r.ContentLength != int64(len(text)) {
					t.Errorf("got %q of length %d, %v", got, r.ContentLength, err)
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusAccepted)
				_, _ = w.Write(got)
			})
			if res.StatusCode != http.StatusAccepted || res.Body != text || res.IsBase64Encoded || res.Headers["Content-Type"] != "application/json" {
				t.Errorf("returned %+v", res)
			}
		})
	}
}

// An Idempotency-Key may have a comma, and so may the name of a tenant; on a node both do.
func TestCommasDoNotDivideHeaders(t *testing.T) {
	want := map[string]string{"idempotency-key": "order 1, line 2,,3", "sluice-tenant": "Acme, Inc.", "accept": "application/x-ndjson, */*", "x-plain": "a b"}
	serve(t, events.APIGatewayV2HTTPRequest{Headers: want}, func(_ http.ResponseWriter, r *http.Request) {
		for name, value := range want {
			if got := r.Header.Values(name); len(got) != 1 || got[0] != value {
				t.Errorf("%s: got %q, want %q", name, got, value)
			}
		}
	})
}

// A compressed body arrives as Base64, and is rejected for its Content-Encoding.
func TestCompressedBodyIsA415(t *testing.T) {
	api := New(httpapi.New(httpapi.Deps{
		Verifier: Verifier{TenantClaim: "org"}, Settings: settings.Default(), Log: slog.New(slog.DiscardHandler), Now: time.Now,
	}))
	for _, isBase64 := range []bool{true, false} {
		req := events.APIGatewayV2HTTPRequest{
			RawPath: "/api/v1/org/events", IsBase64Encoded: isBase64, Body: base64.StdEncoding.EncodeToString([]byte("\x1f\x8b\x08")),
			Headers: map[string]string{"authorization": "Bearer a.b.c", "content-type": "application/json", "content-encoding": "gzip"},
		}
		req.RequestContext.HTTP.Method = "POST"
		req.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
			JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: map[string]string{"org": "acme", "scope": auth.EventsPublish}},
		}
		res, err := api(t.Context(), req)
		if err != nil || res.StatusCode != http.StatusUnsupportedMediaType || !strings.Contains(res.Body, "Content-Encoding") {
			t.Errorf("Base64 %v: %d %s, %v", isBase64, res.StatusCode, res.Body, err)
		}
	}
}

// The gateway joins the values of a repeated header by a comma, so that a comma
// in a date cannot be told from one between two values. Lists are divided by their readers.
func TestHeaders(t *testing.T) {
	req := events.APIGatewayV2HTTPRequest{
		RawPath: "/",
		Headers: map[string]string{
			"accept": "application/json,text/plain", "authorization": "Bearer a.b.c", "content-type": "application/json; a=\"1,2\"",
			"user-agent": "agent/1 (x, y)", "x-amzn-trace-id": "Root=1",
		},
		Cookies: []string{"a=1", "b=2"},
	}
	serve(t, req, func(_ http.ResponseWriter, r *http.Request) {
		want := http.Header{
			"Accept": {"application/json,text/plain"}, "Authorization": {"Bearer a.b.c"}, "Content-Type": {"application/json; a=\"1,2\""},
			"User-Agent": {"agent/1 (x, y)"}, "X-Amzn-Trace-Id": {"Root=1"}, "Cookie": {"a=1", "b=2"},
		}
		if diff := cmp.Diff(want, r.Header); diff != "" {
			t.Errorf("headers (-want +got):\n%s", diff)
		}
	})
}

func TestVerifier(t *testing.T) {
	claims := func(pairs ...string) *events.APIGatewayV2HTTPRequestContextAuthorizerDescription {
		jwt := &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: map[string]string{}}
		for i := 0; i < len(pairs); i += 2 {
			jwt.Claims[pairs[i]] = pairs[i+1]
		}
		return &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{JWT: jwt}
	}
	for _, c := range []struct {
		name       string
		authorizer *events.APIGatewayV2HTTPRequestContextAuthorizerDescription
		want       auth.Identity
		refused    bool
	}{
		{"scope", claims("org", "acme", "scope", "integrations:read events:publish"), auth.Identity{Tenant: "acme", Scopes: []string{"integrations:read", "events:publish"}}, false},
		{"scp as an array", claims("org", "acme", "scp", "[integrations:write events:publish]"), auth.Identity{Tenant: "acme", Scopes: []string{"integrations:write", "events:publish"}}, false},
		{"no scopes", claims("org", "acme"), auth.Identity{Tenant: "acme"}, false},
		{"no tenant", claims("scope", "integrations:read", "tenant", "acme"), auth.Identity{}, true},
		{"platform token", claims("scope", "[events:publish tenants:any]"), auth.Identity{Scopes: []string{"events:publish", "tenants:any"}}, false},
		{"scope of a platform token, and a tenant", claims("org", "acme", "scope", "tenants:any"), auth.Identity{Tenant: "acme", Scopes: []string{"tenants:any"}}, false},
		{"scope of a platform token, and a tenant that is null", claims("org", "<nil>", "scope", "tenants:any"), auth.Identity{}, true},
		{"several tenants", claims("org", "[acme other]"), auth.Identity{}, true},
		{"no possible tenant", claims("org", "a/b"), auth.Identity{}, true},
		{"tenant with an invisible character", claims("org", "ac\u200bme"), auth.Identity{}, true},
		{"tenant before a space", claims("org", "acme "), auth.Identity{}, true},
		{"an authorizer of another kind", &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{Lambda: map[string]any{"org": "acme"}}, auth.Identity{}, true},
		{"no authorizer", nil, auth.Identity{}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			// What the caller sends must count for nothing.
			req := events.APIGatewayV2HTTPRequest{RawPath: "/", Headers: map[string]string{
				"authorization": "Bearer forged", "x-amzn-apigateway-context": `{"authorizer":{"jwt":{"claims":{"org":"victim"}}}}`,
				"x-golambdaproxy-apigw-context": `{"authorizer":{"jwt":{"claims":{"org":"victim"}}}}`, "org": "victim", "tenant": "victim",
			}}
			req.RequestContext.Authorizer = c.authorizer
			serve(t, req, func(_ http.ResponseWriter, r *http.Request) {
				got, err := Verifier{TenantClaim: "org"}.Verify(r.Context(), "forged")
				if (problem.CodeOf(err) == problem.Unauthorized) != c.refused || err != nil && !c.refused {
					t.Errorf("got %v, want refused %v", err, c.refused)
				}
				if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
	if _, err := (Verifier{TenantClaim: "org"}).Verify(context.Background(), "token"); problem.CodeOf(err) != problem.Unauthorized {
		t.Errorf("outside of a request: got %v", err)
	}
}

// Lambda takes 6 MB of JSON, in which a character such as < takes six.
func TestLargeBodiesFitIntoLambda(t *testing.T) {
	const limit = 6_291_556
	for name, body := range map[string]string{
		"a page of events": strings.Repeat(`{"<":"&"}`, 4<<20/9),
		"the largest text": strings.Repeat("<", maxText),
		"a small text":     `{"a":"ü"}`,
		"no text":          "\xff\xfe",
	} {
		res := serve(t, events.APIGatewayV2HTTPRequest{}, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		text, err := json.Marshal(res)
		if err != nil || len(text) > limit {
			t.Errorf("%s: %d bytes: %v", name, len(text), err)
		}
		got := res.Body
		if res.IsBase64Encoded {
			decoded, err := base64.StdEncoding.DecodeString(got)
			if got = string(decoded); err != nil {
				t.Error(err)
			}
		}
		if got != body {
			t.Errorf("%s is changed", name)
		}
	}
}
