package httpfront_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/test/aws/httpfront"
)

// function is an Invoker that records its payloads.
type function struct {
	result        string
	functionError string
	err           error
	delay         time.Duration

	calls   int
	payload []byte
}

func (f *function) Invoke(_ context.Context, _ string, payload []byte) ([]byte, string, error) {
	f.calls++
	f.payload = payload
	time.Sleep(f.delay) // in a bubble
	return []byte(f.result), f.functionError, f.err
}

func (f *function) event(t *testing.T) events.APIGatewayV2HTTPRequest {
	t.Helper()
	var e events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(f.payload, &e); err != nil {
		t.Fatalf("%v in %s", err, f.payload)
	}
	return e
}

const answered = `{"statusCode":200,"body":"ok"}`

func newFront(t *testing.T, o httpfront.Options) *httpfront.Front {
	t.Helper()
	o.Function = "api"
	f, err := httpfront.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func ask(f http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

func TestEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fn := &function{result: answered}
		f := newFront(t, httpfront.Options{Invoker: fn, Open: []string{"POST /v1/a b/é?x"}})
		r := httptest.NewRequest("POST", "/v1/a%20b/%C3%A9%3Fx?n=1&n=2&m=%2F", strings.NewReader(`{"a":1}`))
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
		r.Header.Add("X-Twice", "one")
		r.Header.Add("X-Twice", "two")
		r.Header.Add("Cookie", "a=1; b=2")
		r.Header.Add("Cookie", "c=3")
		r.Header.Set("User-Agent", "test/1")
		r.Header.Set("X-Forwarded-For", "10.0.0.1")
		r.Header.Set("Connection", "close")
		w := ask(f, r)
		if w.Code != 200 || w.Body.String() != "ok" {
			t.Fatalf("returned %d %s", w.Code, w.Body)
		}
		id := w.Header().Get("Apigw-Requestid")
		const want = `{"version":"2.0","routeKey":"POST /v1/a b/é?x","rawPath":"/v1/a b/é",` +
			`"rawQueryString":"n=1&n=2&m=%2F","cookies":["a=1","b=2","c=3"],` +
			`"headers":{"content-length":"7","content-type":"application/json; charset=utf-8","host":"example.com",` +
			`"user-agent":"test/1","x-amzn-trace-id":"Root=1-00000000-000000000000000000000000",` +
			`"x-forwarded-for":"10.0.0.1, 192.0.2.1","x-forwarded-port":"443","x-forwarded-proto":"https","x-twice":"one,two"},` +
			`"queryStringParameters":{"m":"/","n":"1,2"},` +
			`"requestContext":{"accountId":"123456789012","apiId":"sluice1234",` +
			`"domainName":"sluice1234.execute-api.eu-central-1.amazonaws.com","domainPrefix":"sluice1234",` +
			`"http":{"method":"POST","path":"/v1/a b/é","protocol":"HTTP/1.1","sourceIp":"192.0.2.1","userAgent":"test/1"},` +
			`"requestId":"ID","routeKey":"POST /v1/a b/é?x","stage":"$default",` +
			`"time":"01/Jan/2000:00:00:00 +0000","timeEpoch":946684800000},` +
			`"body":"{\"a\":1}","isBase64Encoded":false}`
		got := strings.ReplaceAll(strings.ReplaceAll(string(fn.payload), `\u0026`, "&"), id, "ID")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the event (-want +got):\n%s", diff)
		}
	})
}

func TestBodies(t *testing.T) {
	t.Parallel()
	for contentType, text := range map[string]bool{
		"text/plain": true, "TEXT/csv; charset=utf-8": true, "application/json": true, "application/javascript": true,
		"application/xml": true, "application/problem+json": true, "image/svg+xml": true,
		"": false, "application/octet-stream": false, "application/x-ndjson": false, "application/x-www-form-urlencoded": false,
	} {
		fn := &function{result: answered}
		r := httptest.NewRequest("PUT", "/", strings.NewReader("hello"))
		r.Header.Set("Content-Type", contentType)
		ask(newFront(t, httpfront.Options{Invoker: fn, Open: []string{"PUT /", "POST /", "GET /"}}), r)
		want := "aGVsbG8="
		if text {
			want = "hello"
		}
		if e := fn.event(t); e.Body != want || e.IsBase64Encoded == text {
			t.Errorf("%q: %q, %v", contentType, e.Body, e.IsBase64Encoded)
		}
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/", "GET /"},
		{"GET", "/healthz", "GET /healthz"},
		{"POST", "/healthz", ""},
		{"GET", "/healthz/", ""},
		{"GET", "/healthz/more", ""},
		{"GET", "/other", ""},
		{"GET", "/console", "GET /console"},
		{"GET", "/console/", "GET /console/{proxy+}"},
		{"GET", "/console/views/a.js", "GET /console/{proxy+}"},
		{"GET", "/console/../api/v1/org/events", "GET /console/{proxy+}"},
		{"POST", "/console/main.js", ""},
		{"GET", "/consoles", ""},
		{"GET", "/api/console/main.js", ""},
	} {
		fn := &function{result: answered}
		w := ask(newFront(t, httpfront.Options{Invoker: fn, Open: []string{"GET /", "GET /healthz", "GET /console/{proxy+}", "GET /console"}}), httptest.NewRequest(c.method, c.path, http.NoBody))
		if c.want == "" {
			if w.Code != 401 || fn.calls != 0 {
				t.Errorf("%s %s, without a token: %d", c.method, c.path, w.Code)
			}
			continue
		}
		if e := fn.event(t); e.RouteKey != c.want || e.RawPath != c.path || e.RequestContext.Authorizer != nil {
			t.Errorf("%s %s took %q with %q", c.method, c.path, e.RouteKey, e.RawPath)
		}
	}
	for _, wrong := range []string{"v1", "GET v1", "ANY /v1", "GET /{a}", "GET /{a}/{proxy+}", "GET /{proxy+}/a", "$default"} {
		if _, err := httpfront.New(httpfront.Options{Open: []string{wrong}}); err == nil {
			t.Errorf("the route %q was accepted", wrong)
		}
	}
}

func TestResponses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		fn      function
		status  int
		headers map[string]string
		body    string
	}{
		{
			"all fields",
			function{result: `{"statusCode":201,"headers":{"content-type":"application/json","x-a":"1,2","connection":"close"},` +
				`"multiValueHeaders":{"x-b":["1"]},"cookies":["a=1; Secure","b=2"],"body":"{}"}`},
			201,
			map[string]string{"Content-Type": "application/json", "X-A": "1,2", "X-B": "", "Connection": "", "Set-Cookie": "a=1; Secure|b=2"},
			"{}",
		},
		{
			"base64",
			function{result: `{"statusCode":200,"body":"/w==","isBase64Encoded":true}`},
			200,
			map[string]string{"Content-Type": "text/plain; charset=utf-8"},
			"\xff",
		},
		{"no status", function{result: `{"a":1}`}, 500, nil, `{"message":"Internal Server Error"}`},
		{"bad base64", function{result: `{"statusCode":200,"body":"?","isBase64Encoded":true}`}, 500, nil, `{"message":"Internal Server Error"}`},
		{"bad status", function{result: `{"statusCode":"many"}`}, 500, nil, `{"message":"Internal Server Error"}`},
		{"no JSON", function{result: `hi`}, 500, nil, `{"message":"Internal Server Error"}`},
		{"fails", function{result: answered, functionError: "Unhandled"}, 500, nil, `{"message":"Internal Server Error"}`},
		{"does not run", function{err: errors.New("no function")}, 500, nil, `{"message":"Internal Server Error"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := ask(newFront(t, httpfront.Options{Invoker: &c.fn, Open: []string{"GET /"}}), httptest.NewRequest("GET", "/", http.NoBody))
			if w.Code != c.status || w.Body.String() != c.body || w.Header().Get("Apigw-Requestid") == "" {
				t.Errorf("returned %d %q %v", w.Code, w.Body, w.Header())
			}
			for name, want := range c.headers {
				if got := strings.Join(w.Header()[name], "|"); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		size        int
		contentType string
		status      int
	}{
		{"body", 10<<20 + 1, "text/plain", 413},
		{"payload in Base64", 5 << 20, "application/octet-stream", 413},
		{"payload as text", 5 << 20, "text/plain", 200},
	} {
		fn := &function{result: answered}
		r := httptest.NewRequest("POST", "/", bytes.NewReader(bytes.Repeat([]byte("x"), c.size)))
		r.Header.Set("Content-Type", c.contentType)
		w := ask(newFront(t, httpfront.Options{Invoker: fn, Open: []string{"PUT /", "POST /", "GET /"}}), r)
		if w.Code != c.status || (c.status == 200) != (fn.calls == 1) {
			t.Errorf("%s: %d after %d calls", c.name, w.Code, fn.calls)
		}
		if c.status == 413 && w.Body.String() != `{"message":"Request Entity Too Large"}` {
			t.Errorf("%s: %s", c.name, w.Body)
		}
	}
}

func TestTimeLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fn := &function{result: answered, delay: 31 * time.Second}
		started := time.Now()
		w := ask(newFront(t, httpfront.Options{Invoker: fn, Open: []string{"PUT /", "POST /", "GET /"}}), httptest.NewRequest("GET", "/", http.NoBody))
		if w.Code != 503 || w.Body.String() != `{"message":"Service Unavailable"}` || time.Since(started) != 30*time.Second {
			t.Errorf("returned %d %s after %v", w.Code, w.Body, time.Since(started))
		}
		time.Sleep(time.Second) // the function finishes anyway
	})
}

func TestAuthorizer(t *testing.T) {
	t.Parallel()
	issuer, other := newIssuer(t), newIssuer(t)
	hour := time.Hour.Milliseconds() / 1000
	now := time.Now().Unix()
	token := func(claims map[string]any) string { return issue(t, issuer, claims) }
	good := token(nil)
	for _, c := range []struct {
		name, header string
		status       int
		description  string
	}{
		{"good", "Bearer " + good, 200, ""},
		{"without Bearer", good, 200, ""},
		{"one of several audiences", token(map[string]any{"aud": []string{"x", "sluice-api"}}), 200, ""},
		{"client", token(map[string]any{"aud": nil, "client_id": "sluice-api"}), 200, ""},
		{"none", "", 401, ""},
		{"nonsense", "Bearer x.y.z", 401, "the token is malformed"},
		{"other key", "Bearer " + issue(t, other, map[string]any{"iss": issuer.URL}), 401, "the token does not have a valid key"},
		{"changed", "Bearer " + changed(good), 401, "signature is invalid"},
		{"issuer", token(map[string]any{"iss": "https://evil.example"}), 401, "the token does not have a valid issuer"},
		{"audience", token(map[string]any{"aud": "other"}), 401, "the token does not have a valid audience"},
		{"no audience", token(map[string]any{"aud": nil}), 401, "the token does not have a valid audience"},
		{"aud before client_id", token(map[string]any{"aud": "other", "client_id": "sluice-api"}), 401, "the token does not have a valid audience"},
		{"expired", token(map[string]any{"exp": now - 1}), 401, "the token has expired"},
		{"never expires", token(map[string]any{"exp": nil}), 401, "the token has expired"},
		{"not yet", token(map[string]any{"nbf": now + hour}), 401, "the token is not valid yet"},
		{"from tomorrow", token(map[string]any{"iat": now + hour}), 401, "the token was issued in the future"},
		{"no algorithm", "Bearer eyJhbGciOiJub25lIn0." + strings.Split(good, ".")[1] + ".", 401, "the token is malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			fn := &function{result: answered}
			f := newFront(t, httpfront.Options{Invoker: fn, JWT: issuer.Authorizer()})
			r := httptest.NewRequest("GET", "/", http.NoBody)
			if c.header != "" {
				r.Header.Set("Authorization", c.header)
			}
			w := ask(f, r)
			if w.Code != c.status || (c.status == 200) != (fn.calls == 1) {
				t.Fatalf("%d %s after %d calls; %v", w.Code, w.Body, fn.calls, w.Header())
			}
			if c.status == 200 {
				return
			}
			want := "Bearer"
			if c.description != "" {
				want = `Bearer scope="" error="invalid_token" error_description="` + c.description + `"`
			}
			if got := w.Header().Get("Www-Authenticate"); got != want || w.Body.String() != `{"message":"Unauthorized"}` {
				t.Errorf("the challenge is %s with %s, want %s", got, w.Body, want)
			}
		})
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	issuer := newIssuer(t)
	fn := &function{result: answered}
	f := newFront(t, httpfront.Options{Invoker: fn, JWT: issuer.Authorizer(), Open: []string{"GET /v1/open"}})
	token := issue(t, issuer, map[string]any{
		"tenant": "acme", "scope": "write read", "exp": 4102444800, "iat": nil,
		"groups": []any{"a", "b", 3}, "big": json.RawMessage("12345678901234567890"), "float": 1.5, "exponent": json.RawMessage("1e3"), "yes": true,
	})
	ask := func(path string) *events.APIGatewayV2HTTPRequestContextAuthorizerDescription {
		r := httptest.NewRequest("GET", path, http.NoBody)
		r.Header.Set("Authorization", "Bearer "+token)
		// None of these may reach the authorizer's context.
		r.Header.Set("X-Tenant", "evil")
		r.Header.Set("X-Amzn-Request-Context", `{"authorizer":{"jwt":{"claims":{"tenant":"evil"}}}}`)
		r.Header.Set("Requestcontext", `{"authorizer":{}}`)
		if w := ask(f, r); w.Code != 200 {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		return fn.event(t).RequestContext.Authorizer
	}
	want := map[string]string{
		"iss": "https://issuer.example", "aud": "sluice-api", "tenant": "acme", "scope": "write read", "exp": "4102444800",
		"groups": "[a b 3]", "big": "12345678901234567000", "float": "1.5", "exponent": "1000", "yes": "true",
	}
	if diff := cmp.Diff(want, ask("/v1/things").JWT.Claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if !bytes.Contains(fn.payload, []byte(`"scopes":null`)) {
		t.Errorf("there are scopes: %s", fn.payload)
	}
	if got := ask("/v1/open"); got != nil {
		t.Errorf("an open route has an authorizer: %+v", got)
	}
}

func newIssuer(t *testing.T) *httpfront.Issuer {
	t.Helper()
	issuer, err := httpfront.NewIssuer("https://issuer.example", "sluice-api")
	if err != nil {
		t.Fatal(err)
	}
	return issuer
}

func issue(t *testing.T, issuer *httpfront.Issuer, claims map[string]any) string {
	t.Helper()
	token, err := issuer.Token(claims)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// changed returns the token with another signature.
func changed(token string) string {
	head, tail := token[:len(token)-20], token[len(token)-20:]
	return head + strings.Map(func(r rune) rune {
		if r == 'A' {
			return 'B'
		}
		return 'A'
	}, tail)
}
