package sqlite

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/deliveries"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/store"
)

// What has expired is deleted, of every partition and integration, and nothing else; in
// more than one step where there is much.
func TestTrimDeliveries(t *testing.T) {
	s, ctx := openStore(t), t.Context()
	base := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	cut := base.Add(time.Hour)
	var queries []deliveries.Query
	for _, tenant := range []string{"acme", "beta"} {
		for lane := range 2 {
			for _, integration := range []string{"", "hook", "last"} {
				q := deliveries.Query{Partition: event.Partition{Tenant: tenant, Lane: lane}, Integration: integration, Limit: 5000}
				queries = append(queries, q)
				times := []time.Time{base, cut.Add(-1), cut, cut.Add(time.Minute)}
				if tenant == "beta" && lane == 1 && integration == "hook" { // more than two steps
					for range 2*trimDeliveries + 5 {
						times = append(times, base)
					}
				}
				if integration == "last" { // has nothing to keep
					times = times[:2]
				}
				var writes []store.Write
				for _, at := range times {
					writes = append(writes, store.AddDeliveries{Record: deliveries.Record{Partition: q.Partition, Integration: integration, At: at, First: 1, Last: 1, Data: []byte("x")}})
				}
				if err := s.Commit(ctx, writes...); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	counts := func() (all []int) {
		t.Helper()
		for _, q := range queries {
			found, err := s.Deliveries(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, len(found))
		}
		return all
	}
	// A record takes the time after the last one, so those of the long one are late.
	if n, err := s.TrimDeliveries(ctx, cut); err != nil || n != 24 {
		t.Errorf("deleted %d, %v", n, err)
	}
	if got := fmt.Sprint(counts()); got != fmt.Sprint([]int{2, 2, 0, 2, 2, 0, 2, 2, 0, 2, 2*trimDeliveries + 7, 0}) {
		t.Errorf("left are %s", got)
	}
	if n, err := s.TrimDeliveries(ctx, cut); err != nil || n != 0 {
		t.Errorf("once more: %d, %v", n, err)
	}
	if n, err := s.TrimDeliveries(ctx, cut.Add(time.Hour)); err != nil || n != 2*trimDeliveries+5+16 {
		t.Errorf("the rest: %d, %v", n, err)
	}
	if got := fmt.Sprint(counts()); got != fmt.Sprint(make([]int, 12)) {
		t.Errorf("left are %s", got)
	}
}
