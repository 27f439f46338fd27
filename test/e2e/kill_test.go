package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/test/scenario"
)

// TestKill kills the node at random moments of a busy life, ten times. In the
// end every event that was acknowledged has reached every integration.
func TestKill(t *testing.T) {
	t.Parallel()
	const rounds = 10
	kills := 0
	n := newNode(t, checked, fast, "--dev")
	c := newClient(n, "acme")
	bucketeer, backend := scenario.NewBucketeer(t)
	if err := backend.CreateBucket("acme-events"); err != nil {
		t.Fatal(err)
	}
	sinks := map[string]*sink{}
	for _, id := range []string{"fast", "slow", "failing", "toggled"} {
		sinks[id] = newSink(t)
		c.register(t, id, sinks[id].url)
	}
	sinks["slow"].delay = 30 * time.Millisecond
	sinks["failing"].failing = 40
	sinks["files"] = &sink{}
	c.register(t, "files", fmt.Sprintf(`"s3_parameters":{"aws_access_key_id":%q,"aws_secret_access_key":%q,"aws_region":%q,"bucket":"acme-events","endpoint":%q}`,
		bucketeer.AccessKeyID, bucketeer.SecretAccessKey, bucketeer.Region, bucketeer.Endpoint))

	began := time.Now().Add(-time.Second)
	l := startLoad(t, c, 3)
	stopToggling := toggle(t, c, "toggled", 150*time.Millisecond)
	for round := range rounds {
		sleep(t, 200*time.Millisecond, time.Second)
		n.kill()
		kills++
		if round%3 == 2 { // and once more while it starts
			n.startAndKill(rand.N(150 * time.Millisecond))
			kills++
		}
		n.start()
	}
	sleep(t, 200*time.Millisecond, 400*time.Millisecond)
	l.end()
	stopToggling()
	if a := c.call(t, "POST", eventstream+"/toggled/_start", ""); a.status != http.StatusOK {
		t.Fatalf("starting: %d %s", a.status, a.body)
	}
	acked := l.all()
	if len(acked) < 200 {
		t.Fatalf("only %d events were acknowledged; it proves little", len(acked))
	}
	c.deliveredTo(t, acked, sinks, func() { sinks["files"].readBucket(t, backend, "acme-events") })

	// The log has everything, too.
	sinks["replay"] = newSink(t)
	now := time.Now()
	a := c.call(t, "POST", eventstream, fmt.Sprintf(`{"id":"replay","integration_type":"temporary","starts_at":%q,"ends_at":%q,"callback_parameters":{"callback_url":%q}}`,
		began.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339Nano), sinks["replay"].url))
	if a.status != http.StatusOK {
		t.Fatalf("registering the replay: %d %s", a.status, a.body)
	}
	until(t, "the replay is complete", func() bool { return c.status(t, "replay") == "stopped" })
	if lacks := sinks["replay"].lacks(acked); lacks > 0 {
		t.Errorf("the replay lacks %d of %d acknowledged events", lacks, len(acked))
	}

	// After a kill, events in flight are repeated, once.
	for id, s := range sinks {
		t.Logf("%-8s %d events acknowledged, %d repeats, an event at most %d times, in %d kills", id, len(acked), s.repeats(), s.most(), kills)
		if id != "toggled" && s.most() > kills+1 {
			t.Errorf("%s got an event %d times", id, s.most())
		}
	}
}

// TestKillAtRest kills the node while its last events are on their way, and
// nothing published after the restart could wake an integration.
func TestKillAtRest(t *testing.T) {
	t.Parallel()
	n := newNode(t, checked, nil, "--dev")
	c := newClient(n, "acme")
	s := newSink(t)
	c.register(t, "shop", s.url)
	ids := mustPublish(t, c, 1)
	until(t, "it follows", func() bool { return s.lacks(ids) == 0 })
	s.setDelay(2 * time.Second) // within the budget
	ids = append(ids, mustPublish(t, c, 20)...)
	until(t, "the events are on their way", func() bool { n, _ := s.called(); return n > 1 })
	n.kill()
	s.setDelay(0)
	n.start()
	until(t, "all arrived", func() bool { return s.lacks(ids) == 0 })
}

// deliveredTo waits until each of the sinks has the events.
func (c *client) deliveredTo(t *testing.T, ids []string, sinks map[string]*sink, look func()) {
	t.Helper()
	lacks := ""
	deadline := time.Now().Add(waitLimit)
	until(t, "every sink is asked", func() bool {
		look()
		lacks = ""
		for id, s := range sinks {
			if n := s.lacks(ids); n > 0 {
				lacks += fmt.Sprintf(" %s lacks %d of %d;", id, n, len(ids))
			}
		}
		return lacks == "" || time.Now().After(deadline.Add(-time.Second))
	})
	if lacks == "" {
		return
	}
	t.Errorf("acknowledged events did not arrive:%s", lacks)
	for id := range sinks {
		t.Logf("%s: %s\n%s", id, c.call(t, "GET", eventstream+"/"+id, "").body, c.call(t, "GET", eventstream+"/"+id+"/logs", "").body)
	}
	t.Logf("%s", c.call(t, "GET", "/metrics", "").body)
	text := c.node.text(0)
	t.Fatalf("the end of what the node logged: %s", text[max(0, len(text)-20_000):])
}

// startAndKill starts the process and kills it after a while, in whatever it
// is doing by then.
func (n *node) startAndKill(after time.Duration) {
	n.t.Helper()
	cmd := exec.Command(n.binary, append([]string{"serve", "--addr", n.addr, "--data", n.data}, n.args...)...)
	cmd.Env, cmd.Stderr = environ(n.env), n.stderr
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	sleep(n.t, after, after+time.Millisecond)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// sleep waits for a random time.
func sleep(t *testing.T, least, most time.Duration) {
	select {
	case <-time.After(least + rand.N(most-least)):
	case <-t.Context().Done():
	}
}

// toggle stops and starts an integration again and again, after up to the given time each,
// until the function it returns is called.
func toggle(t *testing.T, c *client, id string, every time.Duration) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for call := "/_stop"; ctx.Err() == nil; {
			// A call is seen to its end: one that is given up may still take effect.
			if a, err := c.try(t.Context(), "POST", eventstream+"/"+id+call, ""); err == nil && a.status == http.StatusOK {
				call = map[string]string{"/_stop": "/_start", "/_start": "/_stop"}[call]
			}
			select {
			case <-time.After(rand.N(every)):
			case <-ctx.Done():
			}
		}
	})
	end = func() { cancel(); wg.Wait() }
	t.Cleanup(end)
	return end
}
