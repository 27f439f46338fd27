package scenario

import (
	"fmt"
	"math/bits"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var failing = []scenario{
	{"whatever fails is tried again", failures},
	{"a receiver that cannot be connected to", refusing},
	{"Retry-After is honoured", retryAfter},
	{"a receiver that hangs does not delay others", hanging},
	{"a failing receiver gets all in the end", flaky},
	{"a response without an end", endless},
	{"an event that is never taken is skipped", skipping},
}

// failures has a receiver fail twice, in all the ways, and then take the event.
func failures(t *testing.T, env *Env) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	hang := func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }
	for _, f := range []struct {
		name, cause string
		handler     http.HandlerFunc
	}{
		{"429", "too many requests (HTTP status code 429)", status(429)},
		{"503", "service unavailable (HTTP status code 503)", status(503)},
		{"500", "internal server error (HTTP status code 500)", status(500)},
		{"401", "unauthorized (HTTP status code 401)", status(401)},
		{"404", "not found (HTTP status code 404)", status(404)},
		{"410", "gone (HTTP status code 410)", status(410)},
		{"422", "(HTTP status code 422)", status(422)},
		{"302", "(HTTP status code 302)", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusFound)
		}},
		{"307 to a metadata service", "(HTTP status code 307)", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://169.254.169.254/latest/meta-data/")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}},
		{"closes", "the connection was closed before a response arrived", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{"hangs", fmt.Sprintf("no response within %v", env.Settings.WebhookTimeout), hang},
		{"no HTTP", "the response is not valid HTTP", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = conn.Write([]byte("220 mail.example.com ESMTP\r\n\r\n"))
				_ = conn.Close()
			}
		}},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			c := newTenant(t, env)
			r := newReceiver(c)
			r.handles(f.handler)
			c.register("shop", callback(r.URL+"/hook"))
			id := c.publish("order.created", 1)[0]
			env.eventually(t, label("two attempts"), func() bool { all := r.all(); return len(all) > 0 && all[len(all)-1].attempt >= 2 })
			r.handles(nil)
			r.has([]string{id})
			attempts, last := 0, 0
			for i, a := range r.all() {
				// A call that is cut short because it holds up others is no attempt.
				if again := i > 0 && f.name == "hangs" && a.attempt == last; !again {
					attempts++
				}
				if last = a.attempt; a.ID != id || a.attempt != attempts || a.path != "/hook" {
					t.Errorf("call %d is attempt %d of %s at %s", i, a.attempt, a.ID, a.path)
				}
			}
			want := "Request to URL " + r.URL + "/… failed. Reason: "
			entries := bits.Len(uint(attempts - 1)) // of attempts 1, 2, 4, …
			env.eventually(t, func() string {
				return fmt.Sprintf("%d entries for %d failed attempts: %q", entries, attempts-1, c.reasons("shop", "retry_triggered"))
			}, func() bool { return len(c.reasons("shop", "retry_triggered")) == entries })
			for _, reason := range c.reasons("shop", "retry_triggered") {
				if !strings.HasPrefix(reason, want) || !strings.Contains(reason, f.cause+".") || !strings.Contains(reason, id+" (order.created), attempt ") {
					t.Errorf("got %q, want %q", reason, want+f.cause+".")
				}
			}
			if rejected := c.rejected("shop"); len(rejected) > 0 {
				t.Errorf("rejected: %v", rejected)
			}
			if status := c.status("shop"); status != "running" {
				t.Errorf("it is %s", status)
			}
		})
	}
}

func refusing(t *testing.T, env *Env) {
	c := newTenant(t, env)
	all := c.witness()
	r := newReceiver(c)
	r.close()
	c.register("shop", callback(r.URL))
	ids := c.publish("order.created", 50)
	all.has(ids)
	want := "Request to URL " + r.URL + " failed. Reason: connection refused. Event "
	env.eventually(t, label("the log has three retries"), func() bool { return len(c.reasons("shop", "retry_triggered")) >= 3 })
	for _, reason := range c.reasons("shop", "retry_triggered") {
		if !strings.HasPrefix(reason, want) {
			t.Errorf("got %q, want %q…", reason, want)
		}
	}
	r.listen(r.addr)
	r.hasOnly(ids)
	env.eventually(t, label("the log says that it delivers again"), func() bool { return len(c.reasons("shop", "delivery_recovered")) > 0 })
}

func retryAfter(t *testing.T, env *Env) {
	for name, header := range map[string]func() string{
		"seconds": func() string { return "2" },
		"date":    func() string { return time.Now().Add(3 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newTenant(t, env)
			r := newReceiver(c)
			r.handles(func(w http.ResponseWriter, _ *http.Request) {
				r.handles(nil) // only the first call fails
				w.Header().Set("Retry-After", header())
				w.WriteHeader(http.StatusServiceUnavailable)
			})
			c.register("shop", callback(r.URL))
			r.has(c.publish("order.created", 1))
			calls := r.all()
			if delay := calls[1].at.Sub(calls[0].at); len(calls) != 2 || delay < 1900*time.Millisecond {
				t.Errorf("%d calls, the second after %v; it was asked to wait for 2 s", len(calls), delay)
			}
		})
	}
}

// hanging has a receiver that never responds next to one that does. An event takes
// hardly longer to the latter than it did without the former.
func hanging(t *testing.T, env *Env) {
	c := newTenant(t, env)
	fast, stuck := newReceiver(c), newReceiver(c)
	c.register("fast", callback(fast.URL))
	const rounds = 25
	var ids []string
	longest := func() time.Duration {
		var longest time.Duration
		for range rounds {
			started := time.Now()
			ids = append(ids, c.publish("order.created", 5)...)
			fast.has(ids)
			longest = max(longest, time.Since(started))
		}
		return longest
	}
	alone := longest()
	c.register("stuck", callback(stuck.URL))
	for range 3 { // until it rides the live stream like the other one
		ids = c.publish("order.created", 1)
		stuck.has(ids)
	}
	stuck.handles(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
	ids = nil
	if both, most := longest(), 3*alone+env.Settings.FollowBudget/2; both > most {
		t.Errorf("a publication took up to %v to arrive, and up to %v next to a receiver that hangs", alone, both)
	}
	if n := len(stuck.all()); n == 0 || n > rounds*env.Settings.InFlight {
		t.Errorf("the receiver that hangs got %d calls", n)
	}
	stuck.handles(nil)
	stuck.has(ids)
	for _, a := range fast.all() {
		if a.attempt != 1 {
			t.Errorf("the receiver that responds got attempt %d of %s", a.attempt, a.ID)
		}
	}
	if actions := c.reasons("fast", "retry_triggered"); len(actions) > 0 {
		t.Errorf("the log of the other one says %q", actions)
	}
}

// flaky has a receiver that fails every fifth call. Attempts of each event
// count up from 1.
func flaky(t *testing.T, env *Env) {
	c := newTenant(t, env)
	r := newReceiver(c)
	calls := 0
	r.answers(func(*arrival) int {
		if calls++; calls%40 == 7 {
			return http.StatusBadGateway
		}
		return http.StatusAccepted
	})
	c.register("shop", callback(r.URL))
	ids := c.publish("order.created", 150)
	r.hasOnly(ids)
	attempts := map[string][]int{}
	for _, a := range r.all() {
		attempts[a.ID] = append(attempts[a.ID], a.attempt)
	}
	for id, got := range attempts {
		var want []int
		for i := range got {
			want = append(want, i+1)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("attempts of %s (-want +got):\n%s", id, diff)
		}
	}
}

// endless has a receiver that returns 200 and then sends, slowly, as much as is
// taken: it counts as delivered, and is soon cut off.
func endless(t *testing.T, env *Env) {
	c := newTenant(t, env)
	all := c.witness()
	r := newReceiver(c)
	const gigabyte = 1 << 30
	sent := make(chan int, 16)
	r.handles(func(w http.ResponseWriter, req *http.Request) {
		chunk, n := make([]byte, 64<<10), 0
		for n < gigabyte && req.Context().Err() == nil {
			written, err := w.Write(chunk)
			if n += written; err != nil {
				break
			}
		}
		sent <- n
	})
	c.register("shop", callback(r.URL))
	ids := c.publish("order.created", 3)
	for range ids {
		select {
		case n := <-sent:
			if n > 64<<20 { // what fits into the buffers on the way, and far less
				t.Errorf("%d bytes of a response were taken", n)
			}
		case <-time.After(env.Timeout):
			t.Fatal("the response is still being read")
		}
	}
	all.has(ids)
	c.stop("shop")
	if n := len(r.all()); n != len(ids) {
		t.Errorf("%d calls, want %d: a 200 is a 200", n, len(ids))
	}
}
