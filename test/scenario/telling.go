package scenario

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var telling = []scenario{
	{"the story of an event, by every integration", stories},
	{"the story of an event whose id tells no time", storiesByTime},
	{"the story of an event that a start passed over", storiesOfMoves},
}

// told is what became of an event.
type told struct {
	Event        json.RawMessage
	Integrations []struct {
		ID, Verdict, Because string
		Delivery             *struct {
			EventID string `json:"event_id"`
			Outcome string
			Status  *int   `json:"status_code"`
			File    string // a key, or null
		}
	}
}

// verdicts are the words and the reasons for each integration.
func (s *told) verdicts() (words, reasons map[string]string) {
	words, reasons = map[string]string{}, map[string]string{}
	for _, in := range s.Integrations {
		words[in.ID], reasons[in.ID] = in.Verdict, in.Because
	}
	return words, reasons
}

// deliveries says for each integration with a delivery of the event how it ended.
func (s *told) deliveries(id string) map[string]string {
	all := map[string]string{}
	for _, in := range s.Integrations {
		switch d := in.Delivery; {
		case d == nil || d.EventID != id:
		case strings.HasSuffix(d.File, ".export"):
			all[in.ID] = d.Outcome + " in a file"
		case d.Status != nil:
			all[in.ID] = fmt.Sprint(d.Outcome, " ", *d.Status)
		}
	}
	return all
}

func storyPath(id string, query ...string) string {
	values := url.Values{}
	for i := 0; i < len(query); i += 2 {
		values.Set(query[i], query[i+1])
	}
	return eventsPath + "/" + id + "?" + values.Encode()
}

// untilStory reads the story of an event until it has the verdicts, "" for an integration that
// it does not have, and returns the reasons.
func (c *tenant) untilStory(id string, want map[string]string, query ...string) map[string]string {
	c.t.Helper()
	var words, reasons map[string]string
	var a *answer
	c.env.eventually(c.t, func() string { return "the story has other verdicts: " + string(a.body) }, func() bool {
		s := told{}
		if a = c.call("GET", storyPath(id, query...), nil); a.status == http.StatusNotFound {
			return false // on a stream it may take a moment
		}
		a.ok(200, &s)
		words, reasons = s.verdicts()
		for in, verdict := range want {
			if words[in] != verdict {
				return false
			}
		}
		return true
	})
	for in, verdict := range want {
		if verdict != "" && !strings.HasSuffix(reasons[in], ".") {
			c.t.Errorf("of %s it says %q", in, reasons[in])
		}
	}
	return reasons
}

// stories has an event, which is odd, and two others meet an integration of every kind.
func stories(t *testing.T, env *Env) {
	c := newTenant(t, env)
	good, strict, down, stuck := newReceiver(c), newReceiver(c), newReceiver(c), newReceiver(c)
	but := func(r *receiver, code int) {
		r.answers(func(a *arrival) int {
			if a.Name == "order.odd" {
				return code
			}
			return http.StatusOK
		})
	}
	but(strict, http.StatusBadRequest)
	but(stuck, http.StatusInternalServerError)
	down.status(http.StatusServiceUnavailable)
	c.register("good", callback(good.URL))
	c.register("strict", callback(strict.URL))
	c.register("down", callback(down.URL))
	c.register("stuck", callback(stuck.URL))
	c.register("narrow", merged(callback(good.URL), object{"filter_conditions": object{"entity_filter": []string{"return"}}}))
	c.register("off", callback(newReceiver(c).URL))
	c.register("files", newBucket(t, env).create().fields("stories"))
	c.replay("ended", newReceiver(c).URL, time.Now().Add(-time.Hour), time.Now().Add(-time.Minute))
	c.stop("off")
	odd := c.publish("order.odd", 1)[0]
	good.has([]string{odd})
	env.eventually(t, label("the receivers that fail were tried"), func() bool {
		return len(c.reasons("down", "retry_triggered")) > 0 && len(c.reasons("stuck", "retry_triggered")) > 0
	})
	next := c.publish("order.paid", 1)[0]
	good.has([]string{next})
	waits := ""
	env.eventually(t, label("an event waits behind one that fails, in its lane"), func() bool {
		waits = c.publish("order.created", 1)[0]
		good.has([]string{waits})
		return strings.Contains(c.untilStory(waits, nil)["down"], "the events before it")
	})
	env.past(t, time.Now())
	c.register("late", callback(newReceiver(c).URL))

	reasons := c.untilStory(odd, map[string]string{
		"good": "delivered", "strict": "rejected", "down": "retrying", "stuck": "retrying", "narrow": "filtered",
		"off": "stopped", "files": "delivered", "ended": "after_end", "late": "before_start",
	})
	if !strings.Contains(reasons["down"], "service unavailable (HTTP status code 503)") || !strings.Contains(reasons["off"], "stopped via API") {
		t.Errorf("the reasons are %q", reasons)
	}
	var s told
	c.call("GET", storyPath(strings.ToUpper(odd)), nil).ok(200, &s)
	if want := string(good.find(odd).body); string(s.Event) != want || len(s.Integrations) != 9 || s.Integrations[0].ID != "down" {
		t.Errorf("the story is of %s, want %s, and of %d integrations", s.Event, want, len(s.Integrations))
	}
	env.eventually(t, label("the story tells each delivery as it is recorded"), func() bool {
		s = told{}
		c.call("GET", storyPath(odd), nil).ok(200, &s)
		return cmp.Equal(map[string]string{
			"good": "delivered 200", "strict": "rejected 400", "down": "retrying 503", "stuck": "retrying 500", "files": "delivered in a file",
		}, s.deliveries(odd))
	})
	c.untilStory(waits, map[string]string{"good": "delivered", "down": "pending", "late": "before_start"})
	c.untilStory(next, map[string]string{
		"good": "delivered", "strict": "delivered", "narrow": "filtered", "off": "stopped", "ended": "after_end", "late": "before_start",
	})

	c.call("POST", path("stuck", "/_skip"), object{"event_id": odd}).ok(200)
	c.untilStory(odd, map[string]string{"stuck": "skipped"})
	c.untilStory(next, map[string]string{"stuck": "delivered"})
	strict.status(http.StatusOK)
	down.status(http.StatusOK)
	c.start("off")
	c.call("POST", path("strict", "/rejected_events/", odd, "/_retry"), nil).empty()
	c.call("DELETE", path("stuck", "/rejected_events/", odd), nil).empty()
	c.call("DELETE", path("late"), nil).empty()
	c.untilStory(odd, map[string]string{"strict": "delivered", "down": "delivered", "off": "delivered", "stuck": "skipped", "late": ""})
}

func storiesByTime(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	c.register("shop", callback(r.URL))
	const id = "6f1c4f0e-93a5-4b1c-8a5e-2d4b8a3f9c10"
	publish := func(n int) string {
		c.send(object{"id": id, "name": "order.created", "payload": object{"n": n}})
		var at string
		env.eventually(t, label("the event arrives"), func() bool {
			all := r.all()
			if len(all) > 0 {
				at = all[len(all)-1].PublishedAt
			}
			return len(all) >= n
		})
		env.past(t, time.Now())
		return at
	}
	times := []string{publish(1), publish(2)} // an id that is in the log twice
	asked := func(query ...string) (s told) {
		t.Helper()
		c.untilStory(id, map[string]string{"shop": "delivered"}, query...)
		c.call("GET", storyPath(id, query...), nil).ok(200, &s)
		return s
	}
	of := func(at string) string {
		for _, a := range r.all() {
			if a.PublishedAt == at {
				return string(a.body)
			}
		}
		return ""
	}
	for _, at := range times {
		if s := asked("published_at", at); string(s.Event) != of(at) {
			t.Errorf("of %s it is %s", at, s.Event)
		}
		if s := asked("from", at, "to", at); string(s.Event) != of(at) {
			t.Errorf("at %s it is %s", at, s.Event)
		}
	}
	first, err := time.Parse(time.RFC3339, times[0])
	if err != nil {
		t.Fatal(err)
	}
	if s := asked("published_at", utc(first.Add(-time.Minute))); string(s.Event) != of(times[0]) {
		t.Errorf("of a minute before it is %s", s.Event)
	}
	if s := asked("published_at", utc(first.Add(time.Minute))); string(s.Event) != of(times[1]) {
		t.Errorf("of a minute after it is %s", s.Event)
	}
	for _, bad := range []struct {
		query []string
		code  string
		word  string
	}{
		{nil, "window_required", "published_at"},
		{[]string{"from", times[0]}, "window_required", "to"},
		{[]string{"to", times[0]}, "window_required", "from"},
		{[]string{"from", times[1], "to", times[0]}, "invalid_request", "to"},
		{[]string{"from", times[0], "to", utc(first.Add(24*time.Hour + time.Millisecond))}, "invalid_request", "24 hours"},
		{[]string{"published_at", times[0], "to", times[0]}, "invalid_request", "published_at"},
		{[]string{"published_at", "yesterday"}, "invalid_request", "published_at"},
		{[]string{"from", "", "to", times[0]}, "invalid_request", "from"},
		{[]string{"since", times[0]}, "unknown_parameter", "since"},
	} {
		c.call("GET", storyPath(id, bad.query...), nil).fails(http.StatusBadRequest, bad.code, bad.word)
	}
	for _, gone := range [][]string{
		{id, "published_at", utc(first.Add(-2 * time.Hour))},
		{"6f1c4f0e-93a5-4b1c-8a5e-2d4b8a3f9c11", "published_at", times[0]},
		{"01890a5d-ac96-774b-bcce-b302099a8057"},
		{"no-uuid"},
		{strings.Repeat("a", 1000)},
	} {
		c.call("GET", storyPath(gone[0], gone[1:]...), nil).fails(http.StatusNotFound, "not_found")
	}
	newTenant(t, env).call("GET", storyPath(id, "published_at", times[0]), nil).fails(http.StatusNotFound, "not_found")
	p := c.with(env.Token("", scopeRead, scopeAny))
	p.call("GET", storyPath(id, "published_at", times[0]), nil, "Sluice-Tenant", c.name).ok(200)
}

func storiesOfMoves(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	all := c.witness()
	c.register("shop", callback(r.URL))
	first := c.publish("order.created", 1)
	r.has(first)
	c.untilStory(first[0], map[string]string{"shop": "delivered"})
	env.past(t, time.Now())
	c.stop("shop")
	missed := c.publish("order.created", 1)
	all.has(missed) // so it is in the log
	env.past(t, time.Now())
	c.untilStory(missed[0], map[string]string{"shop": "stopped"})
	c.call("POST", path("shop", "/_start"), object{"from": "latest"}).ok(http.StatusOK)
	last := c.publish("order.created", 1)
	r.has(last)
	c.untilStory(first[0], map[string]string{"shop": "delivered"})
	c.untilStory(missed[0], map[string]string{"shop": "before_start"})
	c.untilStory(last[0], map[string]string{"shop": "delivered"})
	c.stop("shop")
	c.call("POST", path("shop", "/_start"), object{"from": all.find(missed[0]).PublishedAt}).ok(http.StatusOK)
	r.has(missed)
	c.untilStory(first[0], map[string]string{"shop": "delivered"})
	c.untilStory(missed[0], map[string]string{"shop": "delivered"})
}
