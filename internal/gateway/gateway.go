// Package gateway serves an http.Handler behind an Amazon API Gateway HTTP API (payload
// format 2.0). It identifies the caller by the claims from the API's JWT authorizer,
// never by anything else in the request.
package gateway

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"
)

// Handler is the handler of a Lambda function.
type Handler func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error)

// New returns h as the handler of a Lambda function. The handler returns an error, for
// which the gateway responds with 500, if the event is not an HTTP request, for example
// if its body is not valid Base64.
func New(h http.Handler) Handler {
	proxy := httpadapter.NewV2(undivided(h))
	return func(ctx context.Context, req events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		req.RawPath = escaped(withoutStage(req.RawPath, req.RequestContext.Stage))
		res, err := proxy.ProxyWithContext(context.WithValue(ctx, headersKey{}, req.Headers), req)
		return compact(res), err
	}
}

// headersKey is the context key of a request's headers as the gateway passes them.
type headersKey struct{}

// undivided gives h each header as the gateway passes it: as one value. The adapter divides
// values at their commas, of which an Idempotency-Key or a tenant may have some.
func undivided(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers, _ := r.Context().Value(headersKey{}).(map[string]string)
		for name, value := range headers {
			if strings.Contains(value, ",") {
				r.Header.Set(name, value)
			}
		}
		h.ServeHTTP(w, r)
	})
}

// maxText is the size from which on a body is passed in Base64. Lambda passes a response
// as JSON of 6 MB at most, in which a character of a text takes up to six.
const maxText = 512 << 10

// compact returns the response with a body that Lambda can pass if it has up to 4.5 MB.
func compact(res events.APIGatewayV2HTTPResponse) events.APIGatewayV2HTTPResponse {
	if !res.IsBase64Encoded && len(res.Body) > maxText {
		res.Body, res.IsBase64Encoded = base64.StdEncoding.EncodeToString([]byte(res.Body)), true
	}
	return res
}

// defaultStage is served without a prefix. The paths of every other stage begin with
// its name.
const defaultStage = "$default"

func withoutStage(path, stage string) string {
	if stage == "" || stage == defaultStage {
		return path
	}
	rest, found := strings.CutPrefix(path, "/"+stage)
	switch {
	case !found:
		return path // through a custom domain, whose mapping has removed the stage
	case rest == "":
		return "/"
	case rest[0] == '/':
		return rest
	}
	return path
}

// escaped returns the path in valid URL encoding. The gateway passes partly decoded
// paths, which may contain spaces and lone percent signs.
func escaped(path string) string {
	u, err := url.ParseRequestURI(path)
	if err == nil && u.RawQuery == "" && u.EscapedPath() == path {
		return path
	}
	return (&url.URL{Path: path}).EscapedPath()
}
