package dynamo_test

import (
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/store"
)

// Many processes count the tests of an integration together.
func TestTestsAreCountedTogether(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	h := store.History{Tenant: "a", Integration: "shop", Incarnation: 1}
	var mu sync.Mutex
	counted := map[int]bool{}
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			n, err := tb.store().CountTest(t.Context(), h, base)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			counted[n] = true
			mu.Unlock()
		})
	}
	all.Wait()
	for n := 1; n <= 12; n++ {
		if !counted[n] {
			t.Errorf("nobody was number %d", n)
		}
	}
	for name, other := range map[string]store.History{"minute": h, "incarnation": {Tenant: "a", Integration: "shop", Incarnation: 2}, "tenant": {Tenant: "b", Integration: "shop", Incarnation: 1}} {
		minute := base
		if name == "minute" {
			minute = base.Add(time.Minute)
		}
		if n, err := tb.store().CountTest(t.Context(), other, minute); n != 1 || err != nil {
			t.Errorf("another %s: %d, %v", name, n, err)
		}
	}
	if entries, err := tb.store().Entries(t.Context(), h, 10); len(entries) > 0 || err != nil {
		t.Errorf("the counters are log entries: %v, %v", entries, err)
	}
}
