// Package httpfront is an API Gateway HTTP API in front of one Lambda function:
// it finds the route, verifies the token where the route has a JWT authorizer,
// makes the event of payload format 2.0, and makes an HTTP answer of what the
// function gives back.
//
// The formats are those of
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html,
// the routes those of
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html.
// It does not do CORS, nor throttle by itself, nor any other integration.
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

// Invoker invokes a function and waits for its answer. functionError is not
// empty where the function failed; err is not nil where it was not run at all.
// An err with StatusCode() 429 tells that it was throttled.
type Invoker interface {
	Invoke(ctx context.Context, function string, payload []byte) (result []byte, functionError string, err error)
}

// Options are the API's definition. Invoker, Function and Routes are needed.
type Options struct {
	Invoker  Invoker
	Function string
	Routes   []Route
	JWT      *Authorizer // of the routes that are not Open
	Stage    string      // $default when empty; the path of any other starts with it
	Region   string      // eu-west-1 when empty
	Account  string      // 123456789012 when empty
}

// Route is one route of the API.
type Route struct {
	Key    string   // "GET /v1/things/{id}", "ANY /v1/{proxy+}" or "$default"
	Open   bool     // no authorizer
	Scopes []string // one of which a token must have; none for any token
}

// Front is the API. It is an http.Handler.
type Front struct {
	options Options
	routes  []route
	apiID   string
	now     func() time.Time
}

// New returns the API.
func New(o Options) (*Front, error) {
	for value, standard := range map[*string]string{&o.Stage: "$default", &o.Region: "eu-west-1", &o.Account: "123456789012"} {
		if *value == "" {
			*value = standard
		}
	}
	f := &Front{options: o, apiID: "sluice1234", now: time.Now}
	for _, r := range o.Routes {
		parsed, err := parseRoute(r)
		if err != nil {
			return nil, err
		}
		if !r.Open && o.JWT == nil {
			return nil, fmt.Errorf("route %q is not open, and there is no authorizer", r.Key)
		}
		f.routes = append(f.routes, parsed)
	}
	return f, nil
}

// ServeHTTP answers one request.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := requestID()
	w.Header().Set("Apigw-Requestid", id)
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	path, inStage := f.withoutStage(r.URL.Path)
	matched, parameters := f.match(r.Method, path)
	if matched == nil || !inStage {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	var claims *jwtContext
	if !matched.Open {
		var refused *refusal
		if claims, refused = f.options.JWT.authorize(r, matched.Scopes, f.now()); refused != nil {
			w.Header().Set("Www-Authenticate", refused.challenge)
			refuse(w, refused.status, refused.message)
			return
		}
	}
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		refuse(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	if err != nil {
		return // the client hung up
	}
	payload := f.event(r, request{id, matched.Key, parameters, claims, body})
	if len(payload) > maxPayload {
		refuse(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	f.integrate(r.Context(), w, payload)
}

// integrate invokes the function and answers. The function goes on when the
// time is over, or the client has hung up.
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
		var status interface{ StatusCode() int }
		switch {
		case errors.As(o.err, &status) && status.StatusCode() == http.StatusTooManyRequests:
			refuse(w, http.StatusTooManyRequests, "Too Many Requests")
		case o.err != nil || o.functionError != "" || !respond(w, o.result):
			refuse(w, http.StatusInternalServerError, "Internal Server Error")
		}
	case <-ctx.Done():
		refuse(w, http.StatusServiceUnavailable, "Service Unavailable")
	}
}

// withoutStage returns the path that routes are compared with, and whether the
// request is for this stage.
func (f *Front) withoutStage(path string) (string, bool) {
	if f.options.Stage == "$default" {
		return path, true
	}
	rest, ok := strings.CutPrefix(path, "/"+f.options.Stage)
	if rest == "" {
		rest = "/"
	}
	return rest, ok && strings.HasPrefix(rest, "/")
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"message":"`+message+`"}`)
}

// requestID returns what looks like API Gateway's extended request IDs.
func requestID() string {
	id := make([]byte, 11)
	_, _ = rand.Read(id) // it cannot fail
	return base64.URLEncoding.EncodeToString(id)
}

// route is a Route, taken apart.
type route struct {
	Route
	method string   // "" for $default
	parts  []string // of the path
}

func parseRoute(r Route) (route, error) {
	if r.Key == "$default" {
		return route{Route: r}, nil
	}
	method, path, ok := strings.Cut(r.Key, " ")
	if !ok || !strings.HasPrefix(path, "/") {
		return route{}, fmt.Errorf("route %q is not a method and a path, nor $default", r.Key)
	}
	parts := split(path)
	for i, part := range parts {
		if strings.HasSuffix(part, "+}") && i < len(parts)-1 {
			return route{}, fmt.Errorf("route %q: %s must be its last part", r.Key, part)
		}
	}
	return route{r, method, parts}, nil
}

// match returns the most specific route: a full match before a greedy one, and
// that before $default; a part that is written out before a parameter, and a
// method before ANY.
func (f *Front) match(method, path string) (*route, map[string]string) {
	parts := split(path)
	var best *route
	var parameters map[string]string
	var rank string
	for i := range f.routes {
		r := &f.routes[i]
		found, values, ok := r.match(method, parts)
		if ok && (best == nil || found < rank) {
			best, parameters, rank = r, values, found
		}
	}
	return best, parameters
}

// match returns how specific the route is, lower for more.
func (r *route) match(method string, parts []string) (rank string, values map[string]string, ok bool) {
	if r.method == "" {
		return "z", nil, true
	}
	if r.method != "ANY" && r.method != method {
		return "", nil, false
	}
	values = map[string]string{}
	var ranks strings.Builder
	greedy := false
	for i, part := range r.parts {
		name := strings.TrimSuffix(strings.TrimPrefix(part, "{"), "}")
		variable := strings.HasPrefix(part, "{")
		switch {
		case i >= len(parts):
			return "", nil, false
		case variable && strings.HasSuffix(name, "+"):
			greedy = true
			values[strings.TrimSuffix(name, "+")] = strings.Join(parts[i:], "/")
			ranks.WriteByte('c')
		case variable:
			values[name] = parts[i]
			ranks.WriteByte('b')
		case part != parts[i]:
			return "", nil, false
		default:
			ranks.WriteByte('a')
		}
	}
	if len(parts) > len(r.parts) && !greedy {
		return "", nil, false
	}
	if r.method == "ANY" {
		ranks.WriteByte('y')
	} else {
		ranks.WriteByte('x')
	}
	if greedy {
		return "g" + ranks.String(), values, true
	}
	return "f" + ranks.String(), values, true
}

// split returns the parts of a path. That of the root has one, which is empty.
func split(path string) []string {
	return strings.Split(strings.TrimPrefix(path, "/"), "/")
}

// decoded returns a path as HTTP APIs pass it on: decoded, and cut at a decoded
// question mark.
func decoded(u *url.URL) string {
	path, _, _ := strings.Cut(u.Path, "?")
	return path
}
