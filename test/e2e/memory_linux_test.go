package e2e

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// memoryLimit is what a node needs at most, however much it holds for
// integrations that are behind.
const memoryLimit = 150 << 20

// TestMemory publishes much more than memoryLimit, while one integration is
// stopped and one lags. Then the stopped one catches up.
func TestMemory(t *testing.T) {
	t.Parallel()
	n := newNode(t, plain, nil, "--dev") // the race detector needs extra memory
	c := newClient(n, "acme")
	fast, stopped, lagging := newSink(t), newSink(t), newSink(t)
	lagging.delay = 200 * time.Millisecond
	c.register(t, "fast", fast.url)
	c.register(t, "stopped", stopped.url)
	c.register(t, "lagging", lagging.url)
	if a := c.call(t, "POST", eventstream+"/stopped/_stop", ""); a.status != http.StatusOK {
		t.Fatal(a.status)
	}
	const events, batch, size = 20_000, 250, 10_000
	var ids []string
	payload := `{"text":"` + strings.Repeat("x", size) + `"}`
	for range events / batch {
		more, status, err := c.publish(t.Context(), batch, payload)
		if err != nil || status != http.StatusAccepted {
			t.Fatal(status, err)
		}
		ids = append(ids, more...)
	}
	until(t, "the fast one has everything", func() bool { return fast.lacks(ids) == 0 })
	after := n.peak()
	if a := c.call(t, "POST", eventstream+"/stopped/_start", ""); a.status != http.StatusOK {
		t.Fatal(a.status)
	}
	until(t, "the stopped one has caught up", func() bool { return stopped.lacks(ids) == 0 })
	if lagging.lacks(ids) == 0 {
		t.Error("the lagging one does not lag, so it proves nothing")
	}
	peak := n.peak()
	t.Logf("%d MiB were published; the node had at most %d MiB, and %d MiB after the catch-up", events*size>>20, after>>20, peak>>20)
	if peak > memoryLimit {
		t.Errorf("the node had %d MiB", peak>>20)
	}
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peak is the most memory that the process ever had, in bytes.
func (n *node) peak() int {
	n.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	if err != nil {
		n.t.Fatal(err)
	}
	kib, err := strconv.Atoi(string(highWater.FindSubmatch(status)[1]))
	if err != nil {
		n.t.Fatal(err)
	}
	return kib << 10
}
