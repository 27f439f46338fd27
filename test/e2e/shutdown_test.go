package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// shutdownLimit is within which a node ends in good order.
const shutdownLimit = 10 * time.Second

// TestShutdown ends the node in good order, again and again, while it is busy.
// No healthy receiver notices: no event is tried twice, and none comes twice.
func TestShutdown(t *testing.T) {
	t.Parallel()
	env := map[string]string{"SLUICE_LOG_LEVEL": "debug", "SLUICE_RETRY_MIN": "50ms"}
	n := newNode(t, checked, env, "--dev")
	c := newClient(n, "acme")
	sinks := map[string]*sink{"fast": newSink(t), "slow": newSink(t)}
	sinks["slow"].delay = 300 * time.Millisecond
	for id, s := range sinks {
		c.register(t, id, s.url)
	}
	l := startLoad(t, c, 2)
	slow := c.slowly(t)
	for range 3 {
		sleep(t, 300*time.Millisecond, 900*time.Millisecond)
		code, took := n.end()
		if code != 0 || took > shutdownLimit {
			t.Errorf("it ended with %d, after %v", code, took)
		}
		n.start()
	}
	l.end()
	slow.end()
	ids := append(l.all(), slow.all()...)
	sinks["slow"].setDelay(0) // it has seen enough
	c.deliveredTo(t, ids, sinks, func() {})
	for id, s := range sinks {
		if _, again := s.called(); s.retried > 0 || again > 0 {
			t.Errorf("%s got %d attempts beyond the first, and %d calls for an event it had, of %d", id, s.retried, again, len(ids))
		}
	}
	n.noErrors()
	if retries := c.call(t, "GET", eventstream+"/slow/logs", ""); strings.Contains(string(retries.body), "retry_triggered") {
		t.Errorf("the log of a healthy receiver: %s", retries.body)
	}
}

// slowly publishes an event now and then.
func (c *client) slowly(t *testing.T) *load { return startLoad(t, c, 1) }

func (s *sink) setDelay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = d
}

// A receiver that never responds does not keep the node from ending in time.
func TestShutdownWithHangingReceiver(t *testing.T) {
	t.Parallel()
	n := newNode(t, checked, map[string]string{"SLUICE_LOG_LEVEL": "debug", "SLUICE_WEBHOOK_TIMEOUT": "1m"}, "--dev")
	c := newClient(n, "acme")
	stuck := newSink(t)
	stuck.hanging = true
	c.register(t, "stuck", stuck.url)
	ids, status, err := c.publish(t.Context(), 50, `{}`)
	if err != nil || status != http.StatusAccepted {
		t.Fatal(status, err)
	}
	until(t, "the receiver is called", func() bool { n, _ := stuck.called(); return n > 0 })
	code, took := n.end()
	if code != 0 || took > shutdownLimit+time.Second {
		t.Errorf("it ended with %d, after %v", code, took)
	}
	stuck.mu.Lock()
	stuck.hanging = false
	stuck.mu.Unlock()
	n.start()
	until(t, "everything arrived after the start", func() bool { return stuck.lacks(ids) == 0 })
	if stuck.retried > 0 {
		t.Errorf("%d attempts beyond the first: the shutdown cost attempts", stuck.retried)
	}
}
