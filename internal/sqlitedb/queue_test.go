package sqlitedb

import (
	"fmt"
	"slices"
	"testing"
)

// add queues n operations of a tenant.
func addAll(t *testing.T, q *queue, n int, turn Turn) {
	t.Helper()
	for range n {
		if !q.add(&Op{Turn: turn}) {
			t.Fatal("an open queue refused an operation")
		}
	}
}

// places returns where the tenant's operations are in the group.
func places(group []*Op, tenant string) []int {
	var at []int
	for i, op := range group {
		if op.Tenant == tenant {
			at = append(at, i)
		}
	}
	return at
}

// One that has megabytes waiting does not hold up the others, of whichever class.
func TestATenantWithMuchWaitingLeavesRoomForOthers(t *testing.T) {
	for _, c := range byPriority {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			q := newQueue()
			addAll(t, q, 1000, Turn{Tenant: "noisy", Class: c, Bytes: 64 << 10})
			addAll(t, q, 1000, Turn{Tenant: "busy", Class: c, Bytes: 100})
			addAll(t, q, 1, Turn{Tenant: "quiet", Class: c, Bytes: 100})
			first := len(q.take(nil)) // one operation of the noisy tenant fills it
			if group := q.take(nil); len(places(group, "quiet")) != 1 {
				t.Errorf("the quiet tenant's operation is not in the second group, of %d, after one of %d", len(group), first)
			}
		})
	}
}

// Over time tenants write as many bytes as each other, however large the operations
// of each are.
func TestTenantsShareByBytes(t *testing.T) {
	q := newQueue()
	sizes := map[string]int{"pages": 4 << 10, "batches": 64 << 10, "calls": 5 << 20}
	for tenant, size := range sizes {
		addAll(t, q, 200<<20/size, Turn{Tenant: tenant, Bytes: size})
	}
	wrote := map[string]int{}
	for range 500 {
		for _, op := range q.take(nil) {
			wrote[op.Tenant] += op.Bytes
		}
	}
	for tenant := range sizes {
		if d := wrote[tenant] - wrote["pages"]; max(d, -d) > 6<<20 {
			t.Errorf("%s wrote %d bytes, pages %d", tenant, wrote[tenant], wrote["pages"])
		}
	}
}

// A group is bounded by the bytes of all its operations; those that share a batch are
// counted when it is complete.
func TestGroupsAreBoundedInBytes(t *testing.T) {
	const largest = 64 << 10
	q := newQueue()
	for i := range 500 {
		q.add(&Op{Turn: Turn{Tenant: fmt.Sprint(i % 7), Class: byPriority[i%3]}, Seal: func() int { return largest }})
	}
	total := 0
	for total < 500*largest {
		bytes := 0
		for _, op := range q.take(nil) {
			bytes += op.Bytes
		}
		if most := groupCost + 2*classCost + 3*largest; bytes > most || bytes == 0 {
			t.Fatalf("a group has %d bytes, want at most %d", bytes, most)
		}
		total += bytes
	}
	if q.length() != 0 {
		t.Errorf("%d operations are left", q.length())
	}
}

// What a caller waits for goes before what deliveries save, and that before maintenance;
// but each class has a part of every group.
func TestUrgentGoesFirstAndNobodyStarves(t *testing.T) {
	q := newQueue()
	addAll(t, q, 1000, Turn{Tenant: "m", Class: Maintenance})
	addAll(t, q, 1000, Turn{Tenant: "n", Class: Normal})
	addAll(t, q, 1, Turn{Tenant: "u", Class: Urgent})
	group := q.take(nil)
	if at := places(group, "u"); !slices.Equal(at, []int{0}) {
		t.Errorf("the urgent operation is in the places %v of the group, want the first", at)
	}
	addAll(t, q, 1000, Turn{Tenant: "u", Class: Urgent})
	group = q.take(nil)
	u, n, m := places(group, "u"), places(group, "n"), places(group, "m")
	if len(u) < 2*len(n) || len(n) == 0 || len(m) == 0 {
		t.Fatalf("of the group %d are urgent, %d normal and %d maintenance", len(u), len(n), len(m))
	}
	if n[0] < u[len(u)-1] || m[0] < n[len(n)-1] {
		t.Error("an operation of a lower class goes before one of a higher")
	}
}

// With one class waiting it has the group to itself.
func TestWhatIsAloneFillsTheGroup(t *testing.T) {
	for _, c := range byPriority {
		q := newQueue()
		addAll(t, q, 1000, Turn{Class: c})
		if got := len(q.take(nil)); got != groupCost/opCost {
			t.Errorf("a group of class %d alone has %d operations, want %d", c, got, groupCost/opCost)
		}
	}
}

func TestAClosedQueueGivesOutWhatItHas(t *testing.T) {
	q := newQueue()
	addAll(t, q, 3, Turn{})
	q.close()
	if q.add(&Op{}) {
		t.Error("a closed queue took an operation")
	}
	if a, b := len(q.take(nil)), len(q.take(nil)); a != 3 || b != 0 {
		t.Errorf("it gave out %d and then %d operations, want 3 and 0", a, b)
	}
}
