package scenario

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const (
	scopeAny     = "tenants:any"
	lanesPath    = "/api/v1/org/lanes"
	troublesPath = "/api/v1/org/integrations/health"
)

var platform = []scenario{
	{"one call publishes events of many tenants", manyTenants},
	{"a platform token acts for the tenant that is named", namedTenant},
	{"nobody but a platform token names a tenant", noTenantToName},
	{"the operator gives a tenant more lanes while it publishes", moreLanes},
	{"only a platform token sees what is wrong over all tenants", troubles},
}

// manyTenants publishes the events of three tenants in one call, in both forms. Each witness
// fails if it sees an event of another tenant.
func manyTenants(t *testing.T, env *Env) {
	tenants := []*tenant{newTenant(t, env), newTenant(t, env), newTenant(t, env)}
	var seen []*receiver
	for _, c := range tenants {
		seen = append(seen, c.witness())
	}
	p := tenants[0].with(env.Token("", scopePublish, scopeAny))
	var events []object
	var lines strings.Builder
	for i := range 30 {
		name := tenants[i%3].name
		events = append(events, object{"tenant": name, "name": "order.created", "payload": object{"n": i}})
		fmt.Fprintf(&lines, "{\"name\":\"order.paid\",\"payload\":{},\"tenant\":%q}\n", name)
	}
	ids := p.send(object{"events": events})
	ids = append(ids, p.send(lines.String(), "Content-Type", "application/x-ndjson")...)
	for i, r := range seen {
		var own []string
		for j := i; j < len(ids); j += 3 {
			own = append(own, ids[j])
		}
		r.hasOnly(own)
	}
}

func namedTenant(t *testing.T, env *Env) {
	c, other := newTenant(t, env), newTenant(t, env)
	r := newReceiver(c)
	seen := other.witness()
	p := c.with(env.Token("", scopeWrite, scopePublish, scopeAny))
	var d document
	registration := merged(object{"id": "shop", "integration_type": "permanent"}, callback(r.URL))
	p.call("POST", base, registration, "Sluice-Tenant", c.name).ok(200, &d)
	c.call("GET", path("shop"), nil).ok(200)
	p.call("GET", path("shop"), nil, "Sluice-Tenant", other.name).fails(http.StatusNotFound, "not_found")
	mine := p.send(object{"name": "order.created", "payload": object{}}, "Sluice-Tenant", c.name)
	both := p.send(object{"events": []object{
		{"name": "order.created", "payload": object{}},
		{"tenant": other.name, "name": "order.created", "payload": object{}},
	}}, "Sluice-Tenant", c.name)
	r.hasOnly(append(mine, both[0]))
	seen.hasOnly(both[1:])

	fill := strings.NewReplacer("ID", "shop", "EVENT", mine[0])
	for _, call := range calls {
		body := object{"name": "order.created", "payload": object{}}
		p.call(call.method, fill.Replace(call.path), body).fails(http.StatusBadRequest, "tenant_required")
		p.call(call.method, fill.Replace(call.path), body, "Sluice-Tenant", "a/b").fails(http.StatusBadRequest, "invalid_request", "Sluice-Tenant")
	}
	p.call("POST", eventsPath, object{"tenant": strings.Repeat("a", 129), "name": "order.created", "payload": object{}}).
		fails(http.StatusBadRequest, "invalid_request", "tenant")
}

func noTenantToName(t *testing.T, env *Env) {
	c, other := newTenant(t, env), newTenant(t, env)
	seen := other.witness()
	event := object{"name": "order.created", "payload": object{}}
	for _, call := range calls {
		c.call(call.method, call.path, event, "Sluice-Tenant", other.name).fails(http.StatusForbidden, "forbidden", scopeAny)
	}
	c.call("POST", eventsPath, merged(event, object{"tenant": other.name})).fails(http.StatusForbidden, "forbidden", "tenant", scopeAny)
	c.send(merged(event, object{"tenant": c.name}))
	c.with(env.Token("", scopeAny)).call("POST", eventsPath, merged(event, object{"tenant": other.name})).fails(http.StatusForbidden, "forbidden", scopePublish)
	seen.hasOnly(other.publish("order.created", 1))
}

// moreLanes gives a tenant more lanes between its events. What is registered before, after and in
// between, is stopped meanwhile or replays, gets all of them.
func moreLanes(t *testing.T, env *Env) {
	c := newTenant(t, env)
	live, stopped, late := newReceiver(c), newReceiver(c), newReceiver(c)
	c.register("live", callback(live.URL))
	c.register("stopped", callback(stopped.URL))
	c.stop("stopped")
	operator := c.with(env.Token("", scopeWrite, scopeAny))
	ids := c.publish("order.created", 40)
	for _, more := range []int{1, 3} {
		var d struct {
			Tenant string
			Lanes  int
		}
		most := env.Settings.Lanes + more
		operator.call("PUT", lanesPath, object{"lanes": most}, "Sluice-Tenant", c.name).ok(200, &d)
		if d.Lanes != most || d.Tenant != c.name {
			t.Errorf("the lanes are %+v, want %d of %s", d, most, c.name)
		}
		operator.call("PUT", lanesPath, object{"lanes": most - 1}, "Sluice-Tenant", c.name).fails(http.StatusConflict, "conflict", "lanes")
		ids = append(ids, c.publish("order.created", 40)...)
	}
	before := len(ids)
	live.hasOnly(ids) // what is still on the stream is for those who register meanwhile
	c.register("late", callback(late.URL))
	ids = append(ids, c.publish("order.created", 40)...)
	c.start("stopped")
	live.hasOnly(ids)
	stopped.hasOnly(ids)
	late.hasOnly(ids[before:])
	for _, call := range operatorCalls {
		c.call(call.method, call.path, merged(call.body)).fails(http.StatusForbidden, "forbidden", scopeAny)
		operator.call(call.method, call.path, merged(call.body)).fails(http.StatusBadRequest, "tenant_required")
	}
}

// troubles asks what is wrong over all tenants, of which only a deployment with an operator
// tenant keeps anything.
func troubles(t *testing.T, env *Env) {
	c := newTenant(t, env)
	for _, call := range overTenants {
		c.call(call.method, call.path, merged(call.body)).fails(http.StatusForbidden, "forbidden", scopeAny)
		c.with(env.Token("", scopePublish, scopeAny)).call(call.method, call.path, merged(call.body)).
			fails(http.StatusForbidden, "forbidden", call.scope)
		operator := c.with(env.Token("", scopeRead, scopeAny))
		operator.call(call.method, call.path, merged(call.body), "Sluice-Tenant", c.name).
			fails(http.StatusBadRequest, "invalid_request", "Sluice-Tenant")
		a := operator.call(call.method, call.path, merged(call.body))
		if env.Settings.OperatorTenant == "" {
			a.fails(http.StatusConflict, "alerts_off", "SLUICE_OPERATOR_TENANT")
		} else {
			a.ok(http.StatusOK)
		}
	}
}
