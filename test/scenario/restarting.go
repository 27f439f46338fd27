package scenario

import (
	"net/http"
	"slices"
	"testing"
	"time"
)

// restarting are the scenarios that are played alone, since the others cannot
// do without the service.
var restarting = []scenario{
	{"everything goes on after a restart", restart},
}

func restart(t *testing.T, env *Env) {
	c := newTenant(t, env)
	b := newBucket(t, env).create()
	live, stopped, down, failing, replay := newReceiver(c), newReceiver(c), newReceiver(c), newReceiver(c), newReceiver(c)
	apiKey := env.secret("key-", 40)
	c.register("live", object{"callback_parameters": object{"callback_url": live.URL, "api_key": apiKey}})
	c.register("stopped", callback(stopped.URL))
	c.register("down", callback(down.URL))
	c.register("files", b.fields("files"))
	rejecting, rejected := c.withRejected("rejecting")
	rejecting.status(http.StatusOK) // from now on
	first := []string{rejected}
	first = append(first, c.publish("order.created", 10)...)
	for _, r := range []*receiver{live, stopped, down} {
		r.has(first)
	}
	from := live.find(rejected).event.at(t)
	until := time.Now().Add(4 * time.Second)
	c.replay("replay", replay.URL, from, until)
	c.stop("stopped")
	down.close()
	failing.status(http.StatusServiceUnavailable)
	c.register("failing", callback(failing.URL))
	second := c.publish("order.created", 50)
	live.has(second)
	env.eventually(t, label("the receiver that is down was tried"), func() bool { return len(c.reasons("down", "retry_triggered")) > 0 })
	failing.calls(1)
	before := c.logs("live")

	env.Restart()

	down.listen(down.addr)
	third := c.publish("order.created", 50)
	live.hasOnly(slices.Concat(first, second, third))
	down.hasOnly(slices.Concat(first, second, third))
	failing.status(http.StatusOK)
	failing.hasOnly(slices.Concat(second, third))
	b.hasOnly("files/"+c.name, slices.Concat(first, second, third))
	stopped.hasOnly(first)
	c.start("stopped")
	stopped.hasOnly(slices.Concat(first, second, third))
	for _, id := range third {
		if got := live.find(id).header.Get("Authorization"); got != "Bearer "+apiKey {
			t.Fatalf("the api_key that is sent after the restart is %q", got)
		}
	}
	if after := c.logs("live"); !slices.Equal(after, before) {
		t.Errorf("the log was %v and is now %v", before, after)
	}
	if !slices.Contains(c.rejected("rejecting"), rejected) {
		t.Errorf("the rejected event is gone")
	}
	c.call("POST", path("rejecting", "/rejected_events/", rejected, "/_retry"), nil).empty()
	for {
		ids := c.publish("order.created", 1)
		live.has(ids)
		if live.find(ids[0]).event.at(t).After(until) {
			break
		}
	}
	c.untilStopped("replay")
	replay.hasOnly(publishedIn(t, live, from, until))
}
