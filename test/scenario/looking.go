package scenario

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

var looking = []scenario{
	{"events are pulled from the log", pulls},
	{"a pull waits for an event", pullWaits},
	{"an integration is deleted while a pull waits", pullOfDeleted},
	{"pulls that are refused", pullsRefused},
}

// pulled is the response to a pull.
type pulled struct {
	Events []json.RawMessage
	Next   string
	AtEnd  bool `json:"at_end"`
}

func (p *pulled) ids(t *testing.T) []string {
	t.Helper()
	ids := []string{}
	for _, text := range p.Events {
		var e event
		if err := json.Unmarshal(text, &e); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.ID)
	}
	return ids
}

// pull reads events of an integration, by the query's names and values.
func (c *tenant) pull(id string, query ...string) *pulled {
	c.t.Helper()
	var p pulled
	if a := c.call("GET", pullPath(id, query...), nil).ok(200, &p); a.header.Get("Sluice-Next") != p.Next || !strings.HasPrefix(p.Next, "p1.") {
		c.t.Errorf("next is %q, and Sluice-Next %q", p.Next, a.header.Get("Sluice-Next"))
	}
	return &p
}

func pullPath(id string, query ...string) string {
	values := url.Values{}
	for i := 0; i < len(query); i += 2 {
		values.Set(query[i], query[i+1])
	}
	return path(id, "/events?", values.Encode())
}

// pullAll reads from a position to the end, in pages of three, until it has n events. On
// AWS a publish may be in the log only some time later.
func (c *tenant) pullAll(id, position string, n int) (ids []string, next string) {
	c.t.Helper()
	c.env.eventually(c.t, label("the log has all events"), func() bool {
		p := c.pull(id, "position", position, "limit", "3")
		ids, position = append(ids, p.ids(c.t)...), p.Next
		return len(ids) >= n && p.AtEnd
	})
	return ids, position
}

func pulls(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	r.status(http.StatusServiceUnavailable) // a receiver that is down
	c.publish("order.created", 1)           // before the registration
	env.past(t, time.Now())
	c.register("shop", merged(callback(r.URL), object{"filter_conditions": object{"entity_filter": []string{"order"}}}))
	ids := c.publish("order.created", 5)
	c.publish("return.created", 5)
	between := time.Now()
	env.past(t, between)
	ids = append(ids, c.publish("order.paid", 4)...)
	got, next := c.pullAll("shop", "earliest", len(ids))
	wantSame(t, ids, got)
	got, _ = c.pullAll("shop", between.UTC().Format(time.RFC3339Nano), 4)
	if missed := missing(ids[5:], got); len(missed) > 0 {
		t.Errorf("since %v: %d events are missing of %d", between, len(missed), len(got))
	}
	if p := c.pull("shop", "position", "latest"); len(p.Events) > 0 || !p.AtEnd {
		t.Errorf("latest has %d events", len(p.Events))
	}

	// It is what is delivered, byte for byte, as lines too. Nothing has moved.
	r.status(http.StatusOK)
	r.has(ids)
	first := c.pull("shop", "limit", "1")
	lines := c.call("GET", pullPath("shop", "limit", "1"), nil, "Accept", "application/x-ndjson").ok(200)
	id := first.ids(t)[0]
	if want := string(r.find(id).body); string(first.Events[0]) != want || string(lines.body) != want+"\n" ||
		!strings.HasPrefix(lines.header.Get("Content-Type"), "application/x-ndjson") || lines.header.Get("Sluice-Next") != first.Next {
		t.Errorf("pulled %s, as a line %q; delivered %s", first.Events[0], lines.body, want)
	}
	c.stop("shop")
	more := c.publish("order.created", 2)
	got, _ = c.pullAll("shop", next, 2)
	wantSame(t, more, got)
	c.start("shop")
	r.has(more)
}

func pullWaits(t *testing.T, env *Env) {
	c := newTenant(t, env)
	c.register("shop", callback(newReceiver(c).URL))
	p := c.pull("shop", "position", "latest", "wait", "1")
	if len(p.Events) > 0 || !p.AtEnd {
		t.Errorf("waited for nothing, and got %d events", len(p.Events))
	}
	for range 3 {
		came := make(chan *answer, 1)
		go func() {
			a, _ := c.try("GET", pullPath("shop", "position", p.Next, "wait", "20"), nil)
			came <- a
		}()
		ids := c.publish("order.created", 1)
		a := <-came
		if a == nil {
			t.Fatal("there was no response")
		}
		next := &pulled{}
		a.ok(200, next)
		if got := next.ids(t); !slices.Equal(got, ids) {
			t.Fatalf("waited for %v, and got %v", ids, got)
		}
		p = next
	}
}

func pullOfDeleted(t *testing.T, env *Env) {
	c := newTenant(t, env)
	for _, again := range []bool{false, true} {
		c.register("shop", callback(newReceiver(c).URL))
		next := c.pull("shop", "position", "latest").Next
		came := make(chan *answer, 1)
		go func() {
			a, _ := c.try("GET", pullPath("shop", "position", next, "wait", "20"), nil)
			came <- a
		}()
		env.past(t, time.Now())
		c.call("DELETE", path("shop"), nil).empty()
		if again {
			c.register("shop", callback(newReceiver(c).URL))
		}
		a := <-came
		switch {
		case a == nil:
			t.Fatal("there was no response")
		case again && a.status == http.StatusBadRequest: // it came after the second registration
			a.fails(http.StatusBadRequest, "invalid_position")
		default:
			a.fails(http.StatusNotFound, "not_found", "shop")
		}
		if again {
			c.call("GET", pullPath("shop", "position", next), nil).fails(http.StatusBadRequest, "invalid_position", "shop")
		}
	}
}

func pullsRefused(t *testing.T, env *Env) {
	mine, other := newTenant(t, env), newTenant(t, env)
	for _, c := range []*tenant{mine, other} {
		c.register("shop", callback(newReceiver(c).URL))
	}
	mine.register("second", callback(newReceiver(mine).URL))
	next := mine.pull("shop").Next
	other.call("GET", pullPath("shop", "position", next), nil).fails(400, "invalid_position", "position")
	mine.call("GET", pullPath("second", "position", next), nil).fails(400, "invalid_position", "second")
	mine.call("GET", pullPath("nobody", "position", next), nil).fails(404, "not_found", "nobody")
	day := 24 * time.Hour
	for _, bad := range []struct {
		name, value string
		status      int
		code        string
	}{
		{"position", "newest", 400, "invalid_position"},
		{"position", "", 400, "invalid_position"},
		{"position", next + "A", 400, "invalid_position"},
		{"position", time.Now().Add(day).UTC().Format(time.RFC3339), 400, "invalid_position"},
		{"position", time.Now().Add(-env.Settings.Retention - day).UTC().Format(time.RFC3339), 410, "position_expired"},
		{"limit", "0", 400, "invalid_request"},
		{"limit", "1001", 400, "invalid_request"},
		{"wait", "21", 400, "invalid_request"},
		{"wait", "-1", 400, "invalid_request"},
		{"offset", "1", 400, "unknown_parameter"},
	} {
		mine.call("GET", pullPath("shop", bad.name, bad.value), nil).fails(bad.status, bad.code, bad.name)
	}
	mine.call("GET", pullPath("shop", "limit", "1000", "wait", "0s"), nil).ok(200)
	mine.call("POST", path("shop", "/events"), object{}).fails(405, "method_not_allowed")
}
