package httpapi

import (
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/internal/auth"
	"github.com/sluicehq/sluice/internal/problem"
)

const (
	base        = "/api/v1/org/integrations/eventstream"
	one         = base + "/{integration_id}"
	oneRejected = one + "/rejected_events/{event_id}"

	published    = "/api/v1/org/events"
	onePublished = published + "/{event_id}"
	tenantLanes  = "/api/v1/org/lanes"
	troubles     = "/api/v1/org/integrations/health"
)

// route is one operation of the API. A handler that returns an error must not
// have written anything.
type route struct {
	method, path string
	scope        string // "": the route needs no token and has no tenant
	handle       func(x *exchange, r *http.Request) error
}

// routes lists the operations of api/openapi.yaml.
func (a *api) routes() []route {
	const read, write = auth.IntegrationsRead, auth.IntegrationsWrite
	routes := []route{
		{"GET", base, read, a.list},
		{"POST", base, write, a.register},
		{"POST", base + "/_estimate", read, a.estimate},
		{"GET", one, read, a.get},
		{"PATCH", one, write, a.update},
		{"DELETE", one, write, a.remove},
		{"POST", one + "/_start", write, a.start},
		{"POST", one + "/_stop", write, a.stop},
		{"GET", one + "/health", read, a.healthOf},
		{"POST", one + "/_test", write, a.test},
		{"POST", one + "/_skip", write, a.skip},
		{"GET", one + "/logs", read, a.entries},
		{"GET", one + "/events", read, a.pull},
		{"GET", one + "/deliveries", read, a.deliveries},
		{"GET", one + "/rejected_events", read, a.rejectedEvents},
		{"POST", one + "/rejected_events/_retry", write, a.retryAll},
		{"POST", one + "/rejected_events/_delete", write, a.deleteAll},
		{"GET", oneRejected, read, a.rejectedEvent},
		{"DELETE", oneRejected, write, a.deleteRejected},
		{"POST", oneRejected + "/_retry", write, a.retryRejected},
		{"POST", published, auth.EventsPublish, a.publish},
		{"GET", onePublished, read, a.story},
		{"GET", troubles, read, a.troubles},
		{"GET", tenantLanes, read, a.lanes},
		{"PUT", tenantLanes, write, a.raiseLanes},
		{"GET", "/healthz", "", a.health},
		{"GET", "/readyz", "", a.readiness},
		{"GET", "/openapi.yaml", "", a.contract},
	}
	if a.Metrics != nil {
		routes = append(routes, route{"GET", "/metrics", "", a.metrics})
	}
	return routes
}

// ServeHTTP serves and logs one request, and recovers a panic of its handler.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x, r := a.begin(w, r)
	defer a.end(x, r)
	// For a path that is not clean, and for "*", the mux would respond with a
	// redirect or an error page that is not ours.
	if p := r.URL.EscapedPath(); p != "/" && path.Clean(p) != strings.TrimSuffix(p, "/") || p[0] != '/' {
		a.noSuchPath(x, r)
		return
	}
	a.mux.ServeHTTP(x, r)
}

// byMethod serves one path by the request's method.
func (a *api) byMethod(methods map[string]route) func(x *exchange, r *http.Request) {
	allow := []string{"OPTIONS"}
	for method := range methods {
		allow = append(allow, method)
		if method == "GET" {
			allow = append(allow, "HEAD")
		}
	}
	slices.Sort(allow)
	allowed := strings.Join(allow, ", ")
	return func(x *exchange, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet // the exchange drops the body
		}
		rt, ok := methods[method]
		switch {
		case ok:
			x.route, x.quiet = rt.path, rt.scope == ""
			if err := a.call(x, r, rt); err != nil {
				a.fail(x, err)
			}
		case r.Method == http.MethodOptions:
			x.Header().Set("Allow", allowed)
			x.WriteHeader(http.StatusNoContent)
		default:
			x.Header().Set("Allow", allowed)
			a.fail(x, problem.New(problem.MethodNotAllowed, "Method %s is not allowed here; use %s.", clip(r.Method), allowed))
		}
	}
}

// call authenticates the request if the route needs a token, and handles it.
func (a *api) call(x *exchange, r *http.Request, rt route) error {
	if rt.scope != "" {
		id, err := a.authenticate(x, r, rt.scope)
		if err != nil {
			return err
		}
		if x.tenant, err = actsFor(x, r, id, rt); err != nil {
			return err
		}
		x.verified, x.anyTenant, x.memory = true, id.AnyTenant(), a.memory.Hold(x.tenant)
		if err := checkQuery(rt, r); err != nil {
			return err
		}
	}
	return rt.handle(x, r)
}

func (a *api) noSuchPath(x *exchange, r *http.Request) {
	a.fail(x, unknownPath(r))
}

func unknownPath(r *http.Request) error {
	return problem.New(problem.NotFound, "Path %q does not exist; /openapi.yaml lists all paths.", clip(r.URL.Path))
}

const challenge = `Bearer realm="sluice"`

// authenticate verifies the request's token and checks that it has the scope.
// On failure it sets WWW-Authenticate (RFC 6750).
func (a *api) authenticate(x *exchange, r *http.Request, scope string) (auth.Identity, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		x.Header().Set("WWW-Authenticate", challenge)
		return auth.Identity{}, problem.New(problem.Unauthorized, "The access token is missing; send it in the header Authorization: Bearer …")
	}
	id, err := a.Verifier.Verify(r.Context(), token)
	if err != nil {
		if problem.CodeOf(err) == problem.Unauthorized {
			x.Header().Set("WWW-Authenticate", challenge+`, error="invalid_token"`)
		}
		return auth.Identity{}, err
	}
	if err := auth.RequireScope(id, scope); err != nil {
		challengeScope(x, scope)
		return auth.Identity{}, err
	}
	return id, nil
}

// challengeScope says which scope a refused token lacks (RFC 6750).
func challengeScope(x *exchange, scope string) {
	x.Header().Set("WWW-Authenticate", challenge+`, error="insufficient_scope", scope="`+scope+`"`)
}
