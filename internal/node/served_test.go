package node

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/publish"
)

func publishOne(t *testing.T, n *Node, tenant string) {
	t.Helper()
	body := []byte(`{"name":"order.created","payload":{}}`)
	if _, err := publish.New(n.log, n.config.Settings).Publish(t.Context(), publish.Call{Tenant: tenant, Format: publish.NDJSON, Body: body}); err != nil {
		t.Error(err)
	}
}

func registerFrom(t *testing.T, n *Node, tenant, url string, from time.Time) {
	t.Helper()
	spec := integration.Spec{ID: "hook", Type: integration.Permanent, StartsAt: from, Webhook: &integration.WebhookSpec{URL: url}}
	if _, err := n.life.Register(t.Context(), tenant, spec); err != nil {
		t.Error(err)
	}
}

// For the events of a tenant without integrations no live delivery runs, now and after a
// restart. One that is registered later gets them, and what comes then.
func TestNoLiveDeliveryWithoutIntegrations(t *testing.T) {
	dir, r, before := t.TempDir(), newReceiver(t), time.Now().Add(-time.Minute)
	version := func(n *Node, tenant string) uint64 {
		state, err := n.store.Partition(t.Context(), event.Partition{Tenant: tenant})
		if err != nil {
			t.Fatal(err)
		}
		return state.Version
	}
	n := openNode(t, dir)
	n.awaitDelivery(t)
	publishOne(t, n, "none")
	register(t, n, "hook", r.URL)
	publishTo(t, n, 1)
	r.wait(t, 1) // live delivery of none would have run by now
	closeNode(t, n)

	n = openNode(t, dir)
	defer closeNode(t, n)
	n.awaitDelivery(t)
	publishOne(t, n, "none")
	publishTo(t, n, 1)
	r.wait(t, 1)
	if v := version(n, "none"); v != 0 {
		t.Error("live delivery has run for a tenant without integrations")
	}
	if version(n, "acme") == 0 {
		t.Error("live delivery has not run for a tenant with an integration")
	}
	registerFrom(t, n, "none", r.URL, before)
	r.wait(t, 2)
	publishOne(t, n, "none")
	r.wait(t, 1)
}

// awaitDelivery waits until the node delivers.
func (n *Node) awaitDelivery(t *testing.T) {
	until(t, "the node delivers", func() bool { return !n.store.Served("nobody") })
}

// What is published while the first integration of a tenant is registered arrives, on
// whichever side of the registration it falls.
func TestEventsBesideTheFirstRegistrationArrive(t *testing.T) {
	const tenants, events = 40, 3
	r, before := newReceiver(t), time.Now().Add(-time.Minute)
	n := openNode(t, t.TempDir())
	defer closeNode(t, n)
	n.awaitDelivery(t)
	var all sync.WaitGroup
	for i := range tenants {
		tenant := fmt.Sprint("tenant-", i)
		for range events {
			all.Go(func() { publishOne(t, n, tenant) })
		}
		all.Go(func() { registerFrom(t, n, tenant, r.URL, before) })
	}
	all.Wait()
	r.wait(t, tenants*events)
}
