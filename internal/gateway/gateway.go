// Package gateway serves an http.Handler behind an Amazon API Gateway HTTP API (payload
// format 2.0). It identifies the caller by the claims from the API's JWT authorizer,
// never by anything else in the request.
package gateway

import (
	"context"
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
	proxy := httpadapter.NewV2(h)
	return func(ctx context.Context, req events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		req.RawPath = escaped(withoutStage(req.RawPath, req.RequestContext.Stage))
		return proxy.ProxyWithContext(ctx, req)
	}
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
