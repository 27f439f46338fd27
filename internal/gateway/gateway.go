// Package gateway serves an http.Handler behind an Amazon API Gateway HTTP API
// (payload format 2.0). Whom a call is from is taken from the verdict of the
// API's JWT authorizer, never from anything that the caller sent.
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

// New returns h as the handler of a Lambda function. Its error, to which the
// gateway answers 500, is of an event that is no HTTP request, as with a body that
// is not the Base64 it is said to be.
func New(h http.Handler) Handler {
	proxy := httpadapter.NewV2(h)
	return func(ctx context.Context, req events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		req.RawPath = escaped(withoutStage(req.RawPath, req.RequestContext.Stage))
		return proxy.ProxyWithContext(ctx, req)
	}
}

// defaultStage is served without a prefix; the paths of any other stage begin
// with its name.
const defaultStage = "$default"

func withoutStage(path, stage string) string {
	if stage == "" || stage == defaultStage {
		return path
	}
	rest, found := strings.CutPrefix(path, "/"+stage)
	switch {
	case !found:
		return path // by way of a custom domain, whose mapping has removed it
	case rest == "":
		return "/"
	case rest[0] == '/':
		return rest
	}
	return path
}

// escaped returns a path that a URL can have. The gateway hands on paths
// decoded in part, so that there may be blanks and single percent signs in it.
func escaped(path string) string {
	u, err := url.ParseRequestURI(path)
	if err == nil && u.RawQuery == "" && u.EscapedPath() == path {
		return path
	}
	return (&url.URL{Path: path}).EscapedPath()
}
