package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/store"
)

// races: concurrent commits.
var races = map[string]func(*testing.T, store.Store){
	"of concurrent committers of one version one wins": func(t *testing.T, s store.Store) {
		commit(t, s, store.PutPartition{State: aPartition(tenantA, 0)})
		for round := range 20 {
			rec, err := s.Partition(t.Context(), event.Partition{Tenant: tenantA})
			read(t, rec, err)
			var wins atomic.Int32
			atOnce(4, func(i int) {
				mine := *rec
				mine.LowWatermark = uint64(100*round + i)
				switch err := s.Commit(t.Context(), store.PutPartition{State: &mine}); {
				case err == nil:
					wins.Add(1)
				case !errors.Is(err, store.ErrConflict):
					t.Errorf("Commit: got %v, want ErrConflict", err)
				}
			})
			if wins.Load() != 1 {
				t.Fatalf("round %d: %d of 4 commits of one version succeeded, want 1", round, wins.Load())
			}
		}
	},
	"of concurrent creators one wins, whole": func(t *testing.T, s store.Store) {
		for round := range 20 {
			id := fmt.Sprintf("round-%d", round)
			var wins atomic.Int32
			atOnce(4, func(i int) {
				c := aCursor(tenantA, id, 0)
				c.Failures = i
				own := aCursor(tenantA, fmt.Sprintf("%s-%d", id, i), 0)
				if err := s.Commit(t.Context(), store.PutCursor{Cursor: own}, store.PutCursor{Cursor: c}); err == nil {
					wins.Add(1)
				}
			})
			if wins.Load() != 1 {
				t.Fatalf("%d of 4 creations succeeded, want 1", wins.Load())
			}
			c, err := s.Cursor(t.Context(), handoff.Key{Tenant: tenantA, Integration: id})
			winner := read(t, c, err).Failures
			for i := range 4 {
				_, err := s.Cursor(t.Context(), handoff.Key{Tenant: tenantA, Integration: fmt.Sprintf("%s-%d", id, i)})
				if (err == nil) != (i == winner) {
					t.Errorf("committer %d won is %v, but its other write there is %v", i, i == winner, err == nil)
				}
			}
		}
	},
	"no increment is lost": func(t *testing.T, s store.Store) {
		const committers, each = 4, 10
		atOnce(committers, func(int) {
			for done := 0; done < each; {
				ten, err := s.Tenant(t.Context(), tenantA)
				if err != nil {
					t.Errorf("Tenant: %v", err)
					return
				}
				ten.Integrations++
				switch err := s.Commit(t.Context(), store.PutTenant{Tenant: ten}, store.AddEntry{History: life, Entry: anEntry("up")}); {
				case err == nil:
					done++
				case !errors.Is(err, store.ErrConflict):
					t.Errorf("Commit: %v", err)
					return
				}
			}
		})
		ten, err := s.Tenant(t.Context(), tenantA)
		equal(t, "Integrations", read(t, ten, err).Integrations, committers*each)
		entries, err := s.Entries(t.Context(), life, 1000)
		equal(t, "entries", len(read(t, entries, err)), committers*each)
	},
}

func atOnce(n int, run func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { run(i) })
	}
	wg.Wait()
}
