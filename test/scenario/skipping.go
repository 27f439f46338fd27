package scenario

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// skipping has an event that a receiver never takes hold up its stream until it is skipped:
// once while the integration runs, and once while it is stopped.
func skipping(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	r.answers(func(a *arrival) int {
		if a.Name == "order.odd" {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	c.register("shop", callback(r.URL))
	skip := func(id string) *answer { return c.call("POST", path("shop", "/_skip"), object{"event_id": id}) }
	for _, stopped := range []bool{false, true} {
		odd := c.publish("order.odd", 1)[0]
		env.eventually(t, label("the log says that it failed"), func() bool {
			return slices.ContainsFunc(c.reasons("shop", "retry_triggered"), func(reason string) bool { return strings.Contains(reason, odd) })
		})
		good := c.publish("order.paid", 3)
		if stopped {
			c.stop("shop")
		}
		skip("00000000-0000-4000-8000-000000000000").fails(http.StatusConflict, "not_blocked", "shop")
		var done struct{ Skipped string }
		if skip(odd).ok(200, &done); done.Skipped != odd {
			t.Errorf("skipped %q, want %s", done.Skipped, odd)
		}
		skip(odd).fails(http.StatusConflict, "not_blocked", odd)
		if stopped {
			c.start("shop")
		}
		r.has(good)
		if !slices.Contains(c.rejected("shop"), odd) {
			t.Errorf("%s is not in the list of rejected events", odd)
		}
		if said := c.reasons("shop", "event_skipped"); len(said) == 0 || !strings.Contains(said[0], odd) {
			t.Errorf("the log says of skips %q", said)
		}
		r.status(http.StatusOK)
		c.call("POST", path("shop", "/rejected_events/", odd, "/_retry"), nil).empty() // it is kept, so it can be sent later
		r.answers(func(a *arrival) int {
			if a.Name == "order.odd" {
				return http.StatusInternalServerError
			}
			return http.StatusOK
		})
	}
	c.with(env.Token("another-tenant", scopeWrite)).call("POST", path("shop", "/_skip"), object{"event_id": "00000000-0000-4000-8000-000000000000"}).
		fails(http.StatusNotFound, "not_found")
}
