package node

import (
	"testing"

	"github.com/sluicehq/sluice/internal/event"
)

// A tenant gets more lanes while the node publishes for it, and has them after a restart. The
// record of all tenants is none of theirs.
func TestATenantGetsMoreLanes(t *testing.T) {
	dir, r := t.TempDir(), newReceiver(t)
	n := openNode(t, dir)
	register(t, n, "hook", r.URL)
	publishTo(t, n, 20)
	if err := n.lanes.Raise(t.Context(), "acme", 4); err != nil {
		t.Fatal(err)
	}
	publishTo(t, n, 20)
	r.wait(t, 40)
	closeNode(t, n)

	n = openNode(t, dir)
	defer closeNode(t, n)
	publishTo(t, n, 20)
	r.wait(t, 20)
	for lane := range 4 {
		if end, err := n.log.End(t.Context(), event.Partition{Tenant: "acme", Lane: lane}); end < 2 || err != nil {
			t.Errorf("lane %d ends with segment %d, %v; want events of both processes", lane, end, err)
		}
	}
	if names, err := n.store.Tenants(t.Context()); len(names) != 1 || err != nil {
		t.Errorf("the tenants are %q, %v", names, err)
	}
}
