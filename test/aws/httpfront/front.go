// Package httpfront emulates the API Gateway HTTP API of template.yaml in front of
// one Lambda function: it verifies the token, except on open routes, builds the
// event of payload format 2.0 and converts the function's result to a response.
//
// The formats are those of
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html.
// Scopes, stages, CORS and throttling are not supported, nor path parameters other than a
// greedy one at the end of an open route, {proxy+}, which the function does not get.
package httpfront

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The limits of
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
// and of Lambda.
const (
	maxBody     = 10 << 20
	maxPayload  = 6291556
	maxDuration = 30 * time.Second
)

// Invoker invokes a function and waits for its result. functionError is not empty
// if the function failed; err is not nil if it did not run.
type Invoker interface {
	Invoke(ctx context.Context, function string, payload []byte) (result []byte, functionError string, err error)
}

// Options are the API's definition.
type Options struct {
	Invoker  Invoker
	Function string
	JWT      *Authorizer
	Open     []string // routes without authorizer, as "GET /healthz" or "GET /console/{proxy+}"
}

// Front is the API: the route $default with a JWT authorizer, and open routes. It
// implements http.Handler.
type Front struct {
	options Options
	now     func() time.Time
}

// greedy is the end of a route for all paths below one.
const greedy = "/{proxy+}"

// New returns the API. It rejects a route that is more than a method and a path, which may end
// with {proxy+}.
func New(o Options) (*Front, error) {
	for _, route := range o.Open {
		method, path, _ := strings.Cut(route, " ")
		if method == "" || method == "ANY" || !strings.HasPrefix(path, "/") || strings.Contains(strings.TrimSuffix(path, greedy), "{") {
			return nil, fmt.Errorf("route %q is not supported: it must be a method and a path without parameters but {proxy+} at its end", route)
		}
	}
	return &Front{options: o, now: time.Now}, nil
}

// ServeHTTP handles one request.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := requestID()
	w.Header().Set("Apigw-Requestid", id)
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	q := request{id: id, routeKey: f.openRoute(r)}
	if q.routeKey == "" {
		claims, challenge := f.options.JWT.authorize(r, f.now())
		if challenge != "" {
			w.Header().Set("Www-Authenticate", challenge)
			refuse(w, http.StatusUnauthorized, "Unauthorized")
			return
		}
		q.routeKey, q.claims = "$default", claims
	}
	var err error
	q.body, err = io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	if err != nil && !errors.As(err, &tooLarge) {
		return // the client hung up
	}
	payload := f.event(r, q)
	if err != nil || len(payload) > maxPayload {
		refuse(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	f.integrate(r.Context(), w, payload)
}

// openRoute returns the open route of a request, "" if there is none. A route without
// parameters comes first.
func (f *Front) openRoute(r *http.Request) string {
	key := r.Method + " " + r.URL.Path
	if slices.Contains(f.options.Open, key) {
		return key
	}
	for _, route := range f.options.Open {
		parent, ok := strings.CutSuffix(route, greedy)
		if ok && strings.HasPrefix(key, parent+"/") { // also for nothing after the slash
			return route
		}
	}
	return ""
}

// integrate invokes the function and responds. The function keeps running after a
// timeout or if the client disconnects.
func (f *Front) integrate(ctx context.Context, w http.ResponseWriter, payload []byte) {
	ctx, cancel := context.WithTimeout(ctx, maxDuration)
	defer cancel()
	type outcome struct {
		result        []byte
		functionError string
		err           error
	}
	done := make(chan outcome, 1)
	go func() {
		result, functionError, err := f.options.Invoker.Invoke(context.WithoutCancel(ctx), f.options.Function, payload)
		done <- outcome{result, functionError, err}
	}()
	select {
	case o := <-done:
		if o.err != nil || o.functionError != "" || !respond(w, o.result) {
			refuse(w, http.StatusInternalServerError, "Internal Server Error")
		}
	case <-ctx.Done():
		refuse(w, http.StatusServiceUnavailable, "Service Unavailable")
	}
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"message":"`+message+`"}`)
}

// requestID returns an ID like API Gateway's extended request IDs.
func requestID() string {
	id := make([]byte, 11)
	_, _ = rand.Read(id) // it cannot fail
	return base64.URLEncoding.EncodeToString(id)
}

// decoded returns a path as HTTP APIs pass it on: decoded, and cut at a decoded
// question mark.
func decoded(u *url.URL) string {
	path, _, _ := strings.Cut(u.Path, "?")
	return path
}
