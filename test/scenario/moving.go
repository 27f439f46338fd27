package scenario

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// startFrom starts an integration at a time, which brings back what was delivered since, and
// at the end of the log, which leaves out what was published while it was stopped.
func startFrom(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	all := c.witness()
	c.register("shop", callback(r.URL))
	start := func(from string) *answer { return c.call("POST", path("shop", "/_start"), object{"from": from}) }
	first := c.publish("order.created", 2)
	r.has(first)
	env.past(t, r.find(first[1]).event.at(t))
	second := c.publish("order.created", 3)
	r.has(second)
	from := r.find(second[0]).PublishedAt
	start("latest").fails(http.StatusBadRequest, "not_stopped", "shop")
	c.stop("shop")
	start(time.Now().Add(time.Hour).Format(time.RFC3339)).fails(http.StatusBadRequest, "invalid_request", "from")
	start(time.Now().Add(-env.Settings.Retention-time.Hour).Format(time.RFC3339)).fails(http.StatusBadRequest, "invalid_request", "from")
	mark := len(r.taken())
	start(from).ok(http.StatusOK)
	env.eventually(t, label("all from there on arrive again"), func() bool { return len(missing(second, r.taken()[mark:])) == 0 })
	c.stop("shop")
	missed := c.publish("order.created", 2)
	all.has(missed) // so they are in the log
	start("latest").ok(http.StatusOK)
	c.stop("shop")
	c.call("POST", path("shop", "/_start"), object{}).ok(http.StatusOK) // from where it stands
	last := c.publish("order.created", 1)
	r.has(last)
	c.stop("shop")
	for _, id := range append(first, missed...) {
		if slices.Contains(r.taken()[mark:], id) {
			t.Errorf("%s came, which is not after the place of a start", id)
		}
	}
	if said := c.reasons("shop", "position_moved"); len(said) != 2 || !strings.HasSuffix(said[1], " to "+from+".") || !strings.HasSuffix(said[0], " to the end of the log.") {
		t.Errorf("the log says %q", said)
	}
}
