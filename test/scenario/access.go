package scenario

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

var access = []scenario{
	{"a tenant sees nothing of another", isolation},
	{"scopes", scopes},
	{"tokens that are not accepted", badTokens},
	{"paths and methods that are not there", noSuchCall},
	{"a browser that looks where it is", atRoot},
	{"the console's page", consolePage},
}

// calls are all that the API has for tenants, with the scope they need. ID is
// an integration, and EVENT one of its rejected events.
var calls = []apiCall{
	{"GET", base, scopeRead, nil},
	{"POST", base, scopeWrite, nil},
	{"POST", base + "/_estimate", scopeRead, nil},
	{"GET", base + "/ID", scopeRead, nil},
	{"PATCH", base + "/ID", scopeWrite, nil},
	{"DELETE", base + "/ID", scopeWrite, nil},
	{"POST", base + "/ID/_start", scopeWrite, nil},
	{"POST", base + "/ID/_stop", scopeWrite, nil},
	{"POST", base + "/ID/_test", scopeWrite, nil},
	{"POST", base + "/ID/_skip", scopeWrite, object{"event_id": "00000000-0000-4000-8000-000000000000"}},
	{"GET", base + "/ID/health", scopeRead, nil},
	{"GET", base + "/ID/logs", scopeRead, nil},
	{"GET", base + "/ID/events", scopeRead, nil},
	{"GET", base + "/ID/deliveries", scopeRead, nil},
	{"GET", base + "/ID/rejected_events", scopeRead, nil},
	{"POST", base + "/ID/rejected_events/_retry", scopeWrite, object{"all": true}},
	{"POST", base + "/ID/rejected_events/_delete", scopeWrite, object{"all": true}},
	{"GET", base + "/ID/rejected_events/EVENT", scopeRead, nil},
	{"DELETE", base + "/ID/rejected_events/EVENT", scopeWrite, nil},
	{"POST", base + "/ID/rejected_events/EVENT/_retry", scopeWrite, nil},
	{"POST", eventsPath, scopePublish, nil},
	{"GET", eventsPath + "/EVENT", scopeRead, nil},
}

// operatorCalls are for platform tokens only.
var operatorCalls = []apiCall{
	{"GET", lanesPath, scopeRead, nil},
	{"PUT", lanesPath, scopeWrite, object{"lanes": 2}},
}

// overTenants are for platform tokens only, and about all tenants at once.
var overTenants = []apiCall{
	{"GET", troublesPath, scopeRead, nil},
}

type apiCall struct {
	method, path, scope string
	body                object // that the call needs, if any
}

// withRejected registers an integration, and returns one event it has rejected.
func (c *tenant) withRejected(id string) (*receiver, string) {
	c.t.Helper()
	r := newReceiver(c)
	r.status(http.StatusBadRequest)
	c.register(id, callback(r.URL))
	event := c.publish("order.created", 1)[0]
	c.env.eventually(c.t, label("the event is rejected"), func() bool { return slices.Equal(c.rejected(id), []string{event}) })
	return r, event
}

func isolation(t *testing.T, env *Env) {
	mine, other := newTenant(t, env), newTenant(t, env)
	r, event := mine.withRejected("shop")
	fill := strings.NewReplacer("ID", "shop", "EVENT", event)
	for _, call := range calls {
		if fill.Replace(call.path) != call.path {
			other.call(call.method, fill.Replace(call.path), merged(call.body)).fails(http.StatusNotFound, "not_found")
		}
	}
	var list struct{ Integrations []document }
	if other.call("GET", base, nil).ok(200, &list); len(list.Integrations) > 0 {
		t.Errorf("the other tenant sees %v", list.Integrations)
	}
	seen := other.witness() // fails if it gets an event of another tenant
	other.register("shop", callback(newReceiver(other).URL))
	seen.hasOnly(other.publish("order.created", 3))
	other.call("DELETE", path("shop"), nil).empty()

	r.status(http.StatusOK)
	mine.wantActions("shop", "integration_created", "integration_started", "event_rejected")
	ids := mine.publish("order.created", 3)
	r.hasOnly(ids)
	wantSame(t, []string{event}, mine.rejected("shop"))
}

func scopes(t *testing.T, env *Env) {
	c := newTenant(t, env)
	_, event := c.withRejected("shop")
	fill := strings.NewReplacer("ID", "shop", "EVENT", event)
	granted := map[string][]string{ // what a token with one scope may do
		scopeRead:    {scopeRead},
		scopeWrite:   {scopeRead, scopeWrite},
		scopePublish: {scopePublish},
	}
	for scope, may := range granted {
		one := c.with(env.Token(c.name, scope))
		for _, call := range calls {
			if !slices.Contains(may, call.scope) {
				one.call(call.method, fill.Replace(call.path), object{}).fails(http.StatusForbidden, "forbidden", call.scope)
			} else if call.method == http.MethodGet {
				one.call(call.method, fill.Replace(call.path), nil).ok(http.StatusOK)
			}
		}
	}
	c.wantActions("shop", "integration_created", "integration_started", "event_rejected")
	c.with(env.Token(c.name, scopePublish)).publish("order.created", 1)
	c.with(env.Token(c.name, scopeWrite)).stop("shop")
}

func badTokens(t *testing.T, env *Env) {
	c := newTenant(t, env)
	parts := strings.Split(c.token, ".")
	foreign := strings.Split(env.Token("somebody-else", scopeRead, scopeWrite, scopePublish), ".")
	bad := map[string]string{
		"no token":          "",
		"no JWT":            "nonsense",
		"no signature":      parts[0] + "." + parts[1] + ".",
		"another signature": parts[0] + "." + parts[1] + "." + foreign[2],
		"another tenant":    parts[0] + "." + foreign[1] + "." + parts[2],
		"alg none":          "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + parts[1] + ".",
		"spaces in it":      parts[0] + " . " + parts[1],
		"very long":         strings.Repeat("a", 9000),
	}
	for name, token := range bad {
		t.Run(name, func(t *testing.T) {
			one := c.with(token)
			one.t = t
			for _, call := range slices.Concat(calls, operatorCalls, overTenants) {
				one.call(call.method, call.path, object{}).unauthorized(env)
			}
		})
	}
	c.with("").call("GET", base, nil, "Authorization", "Basic dXNlcjpwYXNz").unauthorized(env)
	c.with("").call("GET", base+"?access_token="+c.token, nil).unauthorized(env)
}

func noSuchCall(t *testing.T, env *Env) {
	c := newTenant(t, env)
	for _, p := range []string{"/", "/api/v1/org", base + "s", path("shop", "/more"), path("shop", "/rejected_events/x/y"), base + "//shop", base + "/../x"} {
		c.call("GET", p, nil).fails(http.StatusNotFound, "not_found")
	}
	for _, call := range [][2]string{
		{"PUT", base}, {"DELETE", base}, {"POST", path("shop")}, {"GET", path("shop", "/_start")}, {"GET", eventsPath}, {"DELETE", path("shop", "/logs")},
	} {
		c.call(call[0], call[1], nil).fails(http.StatusMethodNotAllowed, "method_not_allowed", call[0])
	}
	if a := c.call("GET", base+"/", nil); a.status != http.StatusOK {
		t.Errorf("the base path with a slash at its end: %d", a.status)
	}
}

// atRoot opens the address of the service in a browser, and with a client of the API.
func atRoot(t *testing.T, env *Env) {
	anyone := *newTenant(t, env)
	anyone.token = ""
	page := anyone.call("GET", "/", nil, "Accept", "text/html,application/xhtml+xml,*/*;q=0.8").ok(200)
	if !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") || !strings.Contains(string(page.body), `href="/openapi.yaml"`) {
		t.Errorf("a browser gets %v, %s", page.header, page.body)
	}
	anyone.call("GET", "/", nil).fails(404, "not_found", "/openapi.yaml")
}

// consolePage loads the console as a browser does, which has no token yet.
func consolePage(t *testing.T, env *Env) {
	anyone := *newTenant(t, env)
	anyone.token = ""
	page := anyone.call("GET", "/console", nil).ok(http.StatusOK) // redirected
	index := anyone.call("GET", "/console/", nil).ok(http.StatusOK)
	if string(page.body) != string(index.body) || !strings.HasPrefix(index.header.Get("Content-Type"), "text/html") {
		t.Errorf("/console leads to %v, %s, and /console/ is %s", page.header, page.body, index.body)
	}
	if policy := index.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'self';") || !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("the page's policy is %q", policy)
	}
	script := anyone.call("GET", "/console/main.js", nil).ok(http.StatusOK)
	if !strings.HasPrefix(script.header.Get("Content-Type"), "text/javascript") || !strings.Contains(string(index.body), `src="./main.js"`) {
		t.Errorf("the page %s has the script %v", index.body, script.header)
	}
	anyone.call("GET", "/console/main.js", nil, "If-None-Match", script.header.Get("ETag")).ok(http.StatusNotModified)
	var config struct{ Name string }
	if anyone.call("GET", "/console/config.json", nil).ok(http.StatusOK, &config); config.Name != env.Settings.ConsoleName {
		t.Errorf("the console has the name %q", config.Name)
	}
	for _, p := range []string{"/console/nothing.js", "/console//main.js"} {
		anyone.call("GET", p, nil).fails(http.StatusNotFound, "not_found")
	}
	// What is below the console's path only in name is refused, by a gateway in its own way.
	for _, p := range []string{"/console/%2e%2e/openapi.yaml", "/console/../api/v1/org/events/x", "/console/%2e%2e/api/v1/org/integrations/eventstream"} {
		if a := anyone.call("GET", p, nil); a.status < 400 || a.status >= 500 {
			t.Errorf("%s: %d %s", p, a.status, a.body)
		}
	}
}
