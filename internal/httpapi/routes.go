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
)

// route is one call of the API. A handler that returns an error has written
// nothing.
type route struct {
	method, path string
	scope        string // "": no token is asked for, and tenant is ""
	handle       func(w http.ResponseWriter, r *http.Request, tenant string) error
}

// routes is the table of the calls, as api/openapi.yaml has them.
func (a *api) routes() []route {
	const read, write = auth.IntegrationsRead, auth.IntegrationsWrite
	routes := []route{
		{"GET", base, read, a.list},
		{"POST", base, write, a.register},
		{"GET", one, read, a.get},
		{"PATCH", one, write, a.update},
		{"DELETE", one, write, a.remove},
		{"POST", one + "/_start", write, a.start},
		{"POST", one + "/_stop", write, a.stop},
		{"GET", one + "/logs", read, a.entries},
		{"GET", one + "/rejected_events", read, a.rejectedEvents},
		{"GET", oneRejected, read, a.rejectedEvent},
		{"DELETE", oneRejected, write, a.deleteRejected},
		{"POST", oneRejected + "/_retry", write, a.retryRejected},
		{"POST", "/api/v1/org/events", auth.EventsPublish, a.publish},
		{"GET", "/healthz", "", a.health},
		{"GET", "/readyz", "", a.readiness},
		{"GET", "/openapi.yaml", "", a.contract},
	}
	if a.Metrics != nil {
		routes = append(routes, route{"GET", "/metrics", "", a.metrics})
	}
	return routes
}

// ServeHTTP answers one request, logs it, and survives its panic.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x, r := a.begin(w, r)
	defer a.end(x, r)
	// The mux answers a path that it would clean, and the path "*", with pages
	// of its own.
	if p := r.URL.EscapedPath(); p != "/" && path.Clean(p) != strings.TrimSuffix(p, "/") || p[0] != '/' {
		a.noSuchPath(x, r)
		return
	}
	a.mux.ServeHTTP(x, r)
}

// byMethod serves one path.
func (a *api) byMethod(methods map[string]route) http.HandlerFunc {
	allow := []string{"OPTIONS"}
	for method := range methods {
		allow = append(allow, method)
		if method == "GET" {
			allow = append(allow, "HEAD")
		}
	}
	slices.Sort(allow)
	allowed := strings.Join(allow, ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		x := w.(*exchange)
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
			w.Header().Set("Allow", allowed)
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Allow", allowed)
			a.fail(x, problem.New(problem.MethodNotAllowed, "This path takes %s, and not %s.", allowed, clip(r.Method)))
		}
	}
}

// call authenticates and handles one call.
func (a *api) call(x *exchange, r *http.Request, rt route) error {
	if rt.scope == "" {
		return rt.handle(x, r, "")
	}
	id, err := a.authenticate(x, r, rt.scope)
	if err != nil {
		return err
	}
	x.tenant = id.Tenant
	return rt.handle(x, r, id.Tenant)
}

func (a *api) noSuchPath(w http.ResponseWriter, r *http.Request) {
	a.fail(w.(*exchange), problem.New(problem.NotFound, "There is nothing at %s; /openapi.yaml has all paths.", clip(r.URL.Path)))
}

// authenticate returns whom the request is from, if that may use the scope.
func (a *api) authenticate(w http.ResponseWriter, r *http.Request, scope string) (auth.Identity, error) {
	const challenge = `Bearer realm="sluice"`
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		w.Header().Set("WWW-Authenticate", challenge)
		return auth.Identity{}, problem.New(problem.Unauthorized, "There is no access token; send one in the header Authorization: Bearer …")
	}
	id, err := a.Verifier.Verify(r.Context(), token)
	if err != nil {
		if problem.CodeOf(err) == problem.Unauthorized {
			w.Header().Set("WWW-Authenticate", challenge+`, error="invalid_token"`)
		}
		return auth.Identity{}, err
	}
	if err := auth.RequireScope(id, scope); err != nil {
		w.Header().Set("WWW-Authenticate", challenge+`, error="insufficient_scope", scope="`+scope+`"`)
		return auth.Identity{}, err
	}
	return id, nil
}
