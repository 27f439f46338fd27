package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

func troubled(tenant, id string, since time.Time) *integration.Integration {
	in := anS3Integration(tenant, id)
	in.Alerts = integration.Alerts{Number: 17, Failing: 1, Since: since}
	return in
}

// pagesOfTrouble reads all integrations that are in trouble, in pages.
func pagesOfTrouble(t *testing.T, s store.Store, limit int) (all []string) {
	t.Helper()
	var place store.TroublePlace
	for range 1000 {
		page, next, err := s.Troubled(t.Context(), place, limit)
		if len(read(t, page, err)) > limit {
			t.Fatalf("a page of %d has %d", limit, len(page))
		}
		for _, in := range page {
			all = append(all, in.Tenant+"/"+in.ID)
		}
		if place = next; next == (store.TroublePlace{}) {
			return all
		}
	}
	t.Fatal("the list has no end")
	return nil
}

// troubles: what is in trouble, over all tenants.
var troubles = map[string]func(*testing.T, store.Store){
	"integrations in trouble, for longest first": func(t *testing.T, s store.Store) {
		b, a, same := troubled("b", "hook", base.Add(-time.Hour)), troubled("a", "hook", base), troubled("a", "ax", base)
		late, first := troubled("ü#", "z-9", base.Add(time.Millisecond)), troubled("c", "hook", base.Add(-300*24*time.Hour))
		well := troubled("a", "well", time.Time{})
		for _, in := range []*integration.Integration{b, a, same, late, first, well} {
			commit(t, s, store.PutIntegration{Integration: in})
		}
		want := []string{"c/hook", "b/hook", "a/ax", "a/hook", "ü#/z-9"}
		for limit := 1; limit < 8; limit++ {
			equal(t, fmt.Sprint("in pages of ", limit), pagesOfTrouble(t, s, limit), want)
		}
		page, next, err := s.Troubled(t.Context(), store.TroublePlace{}, 1)
		equal(t, "the first", read(t, page, err), []store.Troubled{{TroublePlace: store.PlaceOfTrouble(first), Integration: first}})
		equal(t, "its place", next, store.PlaceOfTrouble(first))
		page, next, err = s.Troubled(t.Context(), next, 0)
		equal(t, "a page of 0", len(read(t, page, err)), 0)
		equal(t, "where that ends", next, store.PlaceOfTrouble(first))
		page, next, err = s.Troubled(t.Context(), store.PlaceOfTrouble(late), 9)
		equal(t, "after the last", len(read(t, page, err)), 0)
		equal(t, "where that ends", next, store.TroublePlace{})

		// One recovers, one is deleted, and one completes: it waits for its deletion, if it is a replay.
		a.Alerts.Since = time.Time{}
		b.CompletedAt, b.Alerts.Since = base, time.Time{}
		commit(t, s, store.PutIntegration{Integration: a}, store.PutIntegration{Integration: b}, store.DeleteIntegration{Integration: first})
		equal(t, "after changes", pagesOfTrouble(t, s, 2), []string{"a/ax", "ü#/z-9"})
		expired, err := s.ExpiredReplays(t.Context(), base.Add(time.Hour), 9)
		equal(t, "replays", len(read(t, expired, err)), 1)
		due, err := s.Due(t.Context(), base.Add(time.Hour), 9)
		equal(t, "due cursors", len(read(t, due, err)), 0)
	},
	"many that came into trouble together": func(t *testing.T, s store.Store) {
		want := 120
		for i := range want {
			commit(t, s, store.PutIntegration{Integration: troubled(fmt.Sprint("t", i%7), fmt.Sprint("hook-", i), base)})
		}
		for _, limit := range []int{7, 50} {
			seen := map[string]bool{}
			for _, name := range pagesOfTrouble(t, s, limit) {
				if seen[name] {
					t.Errorf("%s is there twice in pages of %d", name, limit)
				}
				seen[name] = true
			}
			equal(t, "how many", len(seen), want)
		}
	},
}
