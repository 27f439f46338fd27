package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/publish"
	"github.com/sluicehq/sluice/internal/sqlitedb/diskfault"
)

// troubles are what the disk does at the n-th operation, and from then on if it lasts.
var troubles = []struct {
	name  string
	fault diskfault.Fault
	lasts bool
}{
	{"one operation fails", diskfault.EIO, false},
	{"one write is short", diskfault.Short, false},
	{"one write finds the disk full", diskfault.Full, false},
	{"every operation fails from then on", diskfault.EIO, true},
	{"a short write, and the disk stays full", diskfault.Short, true},
}

// Whatever the disk does at whatever operation of the database, from the creation of the
// file to its close: the node refuses to start and says why, or goes on once the disk
// works again, and after a restart no event is missing whose publisher was told that it
// is kept.
//
// It tries a few of some 300 operations, and each in turn if SLUICE_TEST_CASES is set.
func TestNoAcknowledgedEventIsMissingAfterADiskFault(t *testing.T) {
	for i, trouble := range troubles {
		t.Run(trouble.name, func(t *testing.T) {
			t.Parallel()
			every, first := 61, 1+11*i
			if os.Getenv("SLUICE_TEST_CASES") != "" {
				every, first = 1, 1
			}
			reached := 0
			for at := first; ; at += every {
				c := &diskCase{t: t, dir: t.TempDir(), at: int64(at), fault: trouble.fault, lasts: trouble.lasts}
				if !c.run() {
					break
				}
				reached++
			}
			t.Logf("%d operations failed", reached)
			if reached < 3 {
				t.Errorf("only %d operations failed", reached)
			}
		})
	}
}

// diskCase is one life of a node on a disk that fails at one operation.
type diskCase struct {
	t     *testing.T
	dir   string
	at    int64
	fault diskfault.Fault
	lasts bool

	ops    atomic.Int64 // so far
	healed atomic.Bool
	mu     sync.Mutex
	got    map[string]bool
	next   atomic.Int64
	acked  []string // ids that a publisher was told are kept

	registered bool
	owedFrom   int // of acked, what the integration must get
}

func (c *diskCase) decide(diskfault.Op) diskfault.Fault {
	n := c.ops.Add(1)
	if c.healed.Load() || n < c.at || n > c.at && !c.lasts {
		return diskfault.None
	}
	return c.fault
}

// run reports whether there are as many operations that the fault came.
func (c *diskCase) run() bool {
	c.got = map[string]bool{}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.got[req.Header.Get("webhook-id")] = true
	}))
	defer receiver.Close()
	remove, err := diskfault.Below(c.dir, c.decide)
	if err != nil {
		c.t.Fatal(err)
	}
	defer remove()
	n := c.open()
	if n == nil { // it refused
		c.healed.Store(true)
		if n = c.open(); n == nil {
			return true
		}
	}
	c.register(n, receiver.URL)
	c.publishAll(n)
	if c.came() {
		c.healed.Store(true)
		c.goesOn(n, receiver.URL)
	}
	_ = n.Close() // it says so if the disk fails now
	came := c.came()
	c.healed.Store(true)
	if n = c.open(); n == nil {
		return came
	}
	defer closeNode(c.t, n)
	c.hasAll(n)
	c.receivesAll()
	return came
}

// came reports whether the fault came.
func (c *diskCase) came() bool { return c.ops.Load() >= c.at }

// open returns nil if the node refuses, which it may only while the disk fails.
func (c *diskCase) open() *Node {
	config := DefaultConfig()
	config.Addr, config.Data, config.Dev = "127.0.0.1:0", c.dir, true
	config.RetryMin, config.RetryMax = 10*time.Millisecond, 100*time.Millisecond
	n, err := Open(c.t.Context(), config, slog.New(slog.DiscardHandler))
	if err == nil {
		return n
	}
	if c.healed.Load() {
		c.t.Errorf("operation %d failed; with a disk that works the node refuses: %v", c.at, err)
	}
	if !strings.Contains(err.Error(), c.dir) && !strings.Contains(err.Error(), "disk") {
		c.t.Errorf("operation %d failed; the node refuses without saying what failed: %v", c.at, err)
	}
	return nil
}

// register registers the integration, if the disk allows it. It is owed what is
// published from then on.
func (c *diskCase) register(n *Node, url string) {
	_, err := n.life.Register(c.t.Context(), "acme", integration.Spec{ID: "hook", Type: integration.Permanent, Webhook: &integration.WebhookSpec{URL: url}})
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.registered {
		c.registered, c.owedFrom = err == nil || problem.CodeOf(err) == problem.AlreadyExists, len(c.acked)
	}
}

// publishAll publishes events, some at once, and lets the log be copied into the file.
func (c *diskCase) publishAll(n *Node) {
	for range 3 {
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() { _ = c.publish(n) })
		}
		callers.Wait()
		n.db.Checkpoint()
		_ = c.publish(n)
	}
}

func (c *diskCase) publish(n *Node) error {
	count := c.next.Add(1)
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", count)
	body := fmt.Sprintf(`{"tenant":"acme","id":"%s","name":"order.created","payload":{"text":"%s"}}`, id, strings.Repeat("x", 5000))
	call := publish.Call{Tenant: "acme", Format: publish.NDJSON}
	if count%2 == 0 { // a platform, for many tenants
		call.Tenant, call.AnyTenant = "", true
		for i := range 20 {
			body += fmt.Sprintf("\n"+`{"tenant":"other-%d","name":"order.created","payload":{}}`, i)
		}
	}
	call.Body = []byte(body)
	_, err := publish.New(n.log, n.config.Settings).Publish(context.Background(), call)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.acked = append(c.acked, id)
	}
	return err
}

// goesOn fails unless the node works again without a restart.
func (c *diskCase) goesOn(n *Node, url string) {
	c.register(n, url)
	var err error
	for range 5 {
		if err = c.publish(n); err == nil {
			c.receivesAll()
			return
		}
	}
	c.t.Errorf("operation %d failed; the node publishes nothing once the disk works again: %v", c.at, err)
}

// receivesAll waits until the receiver has what it is owed.
func (c *diskCase) receivesAll() {
	until(c.t, fmt.Sprintf("operation %d failed, and all that was acknowledged is received", c.at), func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return !slices.ContainsFunc(c.acked[c.owedFrom:], func(id string) bool { return !c.got[id] })
	})
}

// hasAll fails unless the log has what was acknowledged.
func (c *diskCase) hasAll(n *Node) {
	inLog := map[string]bool{}
	for after := uint64(0); ; {
		segs, err := n.log.Read(c.t.Context(), event.Partition{Tenant: "acme"}, after, 1<<20)
		if err != nil {
			c.t.Errorf("operation %d failed; the log cannot be read: %v", c.at, err)
		}
		if len(segs) == 0 {
			break
		}
		for _, seg := range segs {
			after = seg.Number
			for _, e := range seg.Events {
				inLog[e.ID] = true
			}
		}
	}
	for _, id := range c.acked {
		if !inLog[id] {
			c.t.Errorf("operation %d failed; %s was acknowledged and is not in the log", c.at, id)
		}
	}
}
