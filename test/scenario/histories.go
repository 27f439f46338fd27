package scenario

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var histories = []scenario{
	{"rejected events, and no more than are kept", rejections},
	{"rejected events are read, deleted and retried", rejectedOneByOne},
	{"two retries of one event at once", retriesAtOnce},
	{"rejected events are retried and deleted in bulk", rejectedInBulk},
}

func rejections(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	r.answers(func(a *arrival) int {
		if a.Name == "order.created" {
			return http.StatusBadRequest
		}
		return http.StatusOK
	})
	c.register("shop", callback(r.URL))
	kept := env.Settings.MaxRejected
	first := c.publish("order.created", 1)[0]
	env.eventually(t, label("the first event is rejected"), func() bool { return slices.Equal(c.rejected("shop"), []string{first}) })
	rest := c.publish("order.created", kept)
	good := c.publish("order.paid", 10)
	r.has(good) // the stream goes on
	env.eventually(t, label("all are rejected"), func() bool { return len(missing(rest, c.rejected("shop"))) == 0 })
	wantSame(t, rest, c.rejected("shop"))

	for _, a := range r.all() {
		if a.attempt != 1 {
			t.Errorf("attempt %d of %s: what is rejected is not tried again", a.attempt, a.ID)
		}
	}
	evicted := c.reasons("shop", "rejected_event_evicted")
	if len(evicted) != 1 || !strings.Contains(evicted[0], first) {
		t.Errorf("the log says of evictions %q, want one, of %s", evicted, first)
	}
	reasons := slices.DeleteFunc(c.reasons("shop", "event_rejected"), func(reason string) bool {
		return strings.HasPrefix(reason, "ATTENTION") // of a long run; the good events may come in between
	})
	if len(reasons) != kept+1 || !strings.Contains(reasons[kept], first) ||
		!strings.Contains(reasons[kept], "Request to URL "+r.URL+" failed. Reason: bad request (HTTP status code 400).") {
		t.Errorf("the log says of rejections %q", reasons)
	}
	if n := len(c.reasons("shop", "retry_triggered")); n > 0 {
		t.Errorf("%d retries", n)
	}
	c.call("GET", path("shop", "/rejected_events/", first), nil).fails(http.StatusNotFound, "not_found")
	c.call("POST", path("shop", "/rejected_events/", first, "/_retry"), nil).fails(http.StatusNotFound, "not_found")
}

func rejectedOneByOne(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	r.status(http.StatusBadRequest)
	c.register("shop", callback(r.URL))
	ids := c.publish("order.created", 3)
	env.eventually(t, label("all are rejected"), func() bool { return len(c.rejected("shop")) == 3 })
	c.stop("shop") // the service may repeat a call whose outcome it could not save in time, and list the event again
	one := func(id string, rest ...string) string {
		return path("shop", "/rejected_events/", id, strings.Join(rest, ""))
	}

	if diff := cmp.Diff(string(r.find(ids[0]).body), string(c.call("GET", one(ids[0]), nil).ok(200).body)); diff != "" {
		t.Errorf("the event as it was sent (-sent +got):\n%s", diff)
	}
	c.call("DELETE", one(ids[0]), nil).empty()
	for _, call := range []*answer{
		c.call("GET", one(ids[0]), nil), c.call("DELETE", one(ids[0]), nil), c.call("POST", one(ids[0], "/_retry"), nil),
		c.call("GET", one("no-uuid"), nil), c.call("GET", one("00000000-0000-0000-0000-000000000000"), nil),
	} {
		call.fails(http.StatusNotFound, "not_found")
	}
	wantSame(t, ids[1:], c.rejected("shop"))

	for _, status := range []int{http.StatusBadRequest, http.StatusServiceUnavailable} {
		r.status(status)
		c.call("POST", one(ids[1], "/_retry"), nil).fails(http.StatusBadGateway, "receiver_failed", ids[1])
	}
	r.status(http.StatusOK)
	c.call("POST", one(ids[1], "/_retry"), nil).empty() // works while stopped
	c.call("POST", one(ids[2], "/_retry"), nil).empty()
	if left := c.rejected("shop"); len(left) > 0 {
		t.Errorf("what was retried stays in the list: %v", left)
	}
	if diff := cmp.Diff([]int{1, 2, 3, 4}, r.attempts(ids[1])); diff != "" {
		t.Errorf("attempts of a rejected event (-want +got):\n%s", diff)
	}
	if deleted := c.reasons("shop", "rejected_event_deleted"); len(deleted) != 1 || !strings.Contains(deleted[0], ids[0]) {
		t.Errorf("the log says of deletions %q", deleted)
	}
	retried := c.reasons("shop", "rejected_event_retried")
	if len(retried) != 2 || !strings.Contains(retried[0], ids[2]) || !strings.Contains(retried[1], ids[1]) {
		t.Errorf("the log says of retries %q", retried)
	}
}

func retriesAtOnce(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	r.status(http.StatusBadRequest)
	c.register("shop", callback(r.URL))
	id := c.publish("order.created", 1)[0]
	env.eventually(t, label("the event is rejected"), func() bool { return len(c.rejected("shop")) == 1 })
	release := make(chan struct{})
	r.handles(func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-release:
		case <-req.Context().Done():
		}
	})
	retry := path("shop", "/rejected_events/", id, "/_retry")
	first := make(chan *answer, 1)
	go func() {
		a, _ := c.try("POST", retry, nil)
		first <- a
	}()
	env.eventually(t, label("the retry is in progress"), func() bool { return slices.Contains(r.attempts(id), 2) })
	c.call("POST", retry, nil).fails(http.StatusConflict, "retry_in_progress", id)
	close(release)
	if a := <-first; a == nil || a.status != http.StatusOK {
		t.Fatalf("the first retry: %+v", a)
	}
	c.call("POST", retry, nil).fails(http.StatusNotFound, "not_found")
	if diff := cmp.Diff([]int{1, 2}, r.attempts(id)); diff != "" {
		t.Errorf("attempts of the event (-want +got):\n%s", diff)
	}
}
