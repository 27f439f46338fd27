package scenario

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

var meanwhile = []scenario{
	{"two skips of one event and a stop at once", skipsAndStop},
	{"an integration is stopped while a test event is sent", stopDuringTest},
	{"an integration is deleted while a retry in bulk works", deletedDuringBulk},
}

// hold makes the receiver hold each call until release.
func (r *receiver) hold() (release func()) {
	released := make(chan struct{})
	r.handles(func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-released:
		case <-req.Context().Done():
		}
	})
	return sync.OnceFunc(func() { close(released) })
}

// post begins a call, and returns a function that waits for its response.
func (c *tenant) post(path string, body any) (wait func() *answer) {
	came := make(chan *answer, 1)
	go func() {
		a, _ := c.try("POST", path, body)
		came <- a
	}()
	return func() *answer {
		c.t.Helper()
		a := <-came
		if a == nil {
			c.t.Fatalf("POST %s: there was no response", path)
		}
		return a
	}
}

// skipsAndStop skips the event that a stream waits for twice at once, while the integration
// is stopped: one of the two succeeds, and the event is put into the list once.
func skipsAndStop(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	r.answers(func(a *arrival) int {
		if a.Name == "order.odd" {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	c.register("shop", callback(r.URL))
	var odd []string
	for n := range 3 {
		id := c.publish("order.odd", 1)[0]
		odd = append(odd, id)
		env.eventually(t, label("the log says that it failed"), func() bool {
			return slices.ContainsFunc(c.reasons("shop", "retry_triggered"), func(reason string) bool { return strings.Contains(reason, id) })
		})
		body := object{"event_id": id}
		first, second := c.post(path("shop", "/_skip"), body), c.post(path("shop", "/_skip"), body)
		c.stop("shop")
		done, refused := first(), second()
		if done.status != http.StatusOK {
			done, refused = refused, done
		}
		done.ok(http.StatusOK)
		refused.fails(http.StatusConflict, "not_blocked", id)
		wantSame(t, odd, c.rejected("shop"))
		if said := c.reasons("shop", "event_skipped"); len(said) != n+1 || !strings.Contains(said[0], id) {
			t.Errorf("the log says of skips %q", said)
		}
		calls := len(r.all())
		c.start("shop")
		good := c.publish("order.paid", 1)
		r.has(good)
		if slices.ContainsFunc(r.all()[calls:], func(a *arrival) bool { return a.ID == id }) {
			t.Errorf("%s was sent after it was skipped and the integration was stopped", id)
		}
	}
}

// stopDuringTest stops an integration while its receiver holds a test event. The stop does
// not wait for it, and the test leaves no trace.
func stopDuringTest(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	c.register("shop", callback(r.URL))
	release := r.hold()
	defer release()
	test := c.post(path("shop", "/_test"), nil)
	env.eventually(t, label("the test event is sent"), func() bool { return len(r.all()) == 1 })
	c.stop("shop")
	release()
	var result result
	test().ok(http.StatusOK, &result)
	if result.Outcome != "delivered" && result.Outcome != "failed" { // the stop may take longer than a call may
		t.Errorf("the test is %+v", result)
	}
	if d := c.status("shop"); d != "stopped" {
		t.Errorf("after the test it is %s", d)
	}
	c.start("shop")
	r.handles(nil)
	r.has(c.publish("order.created", 1))
	if n := len(r.all()); n != 2 {
		t.Errorf("%d calls, want the test and the event", n)
	}
	c.wantActions("shop", "integration_created", "integration_started", "integration_stopped", "integration_started")
}

// deletedDuringBulk deletes an integration while the receiver holds the first calls of a
// retry of all. No further event is sent, and nothing of it is left to the next integration
// of that id.
func deletedDuringBulk(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	r.status(http.StatusBadRequest)
	c.register("shop", callback(r.URL))
	ids := c.publish("order.created", 9)
	env.eventually(t, label("all are rejected"), func() bool { return len(c.rejected("shop")) == len(ids) })
	c.stop("shop")
	release := r.hold()
	defer release()
	sent := func() []string {
		return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !slices.Contains(r.attempts(id), 2) })
	}
	retry := c.post(path("shop", "/rejected_events/_retry"), object{"all": true})
	env.eventually(t, label("the retry has begun"), func() bool { return len(sent()) > 0 })
	c.call("DELETE", path("shop"), nil).empty()
	atDeletion := sent()
	release()
	var got bulk
	retry().ok(http.StatusOK, &got)
	gone := 0
	for _, f := range got.Failed {
		if f.Cause == "not_found" {
			gone++
		}
	}
	if len(got.Delivered)+len(got.Failed)+got.Remaining != len(ids) || gone == 0 {
		t.Errorf("deleted meanwhile, the retry of %d is %+v", len(ids), got)
	}
	c.register("shop", callback(r.URL))
	c.wantActions("shop", "integration_created", "integration_started")
	if list := c.rejected("shop"); len(list) > 0 {
		t.Errorf("the next one begins with %v rejected", list)
	}
	if n := len(sent()); n > len(atDeletion)+4 { // calls that had begun when it was deleted
		t.Errorf("%d events were sent, and %d when it was deleted", n, len(atDeletion))
	}
}
