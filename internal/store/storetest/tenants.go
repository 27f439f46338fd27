package storetest

import (
	"fmt"
	"testing"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// oddNames are tenants that a careless key format would confuse: prefixes of each
// other, separators, quotes, wildcards, case, NUL, and what looks like another
// tenant's integration.
var oddNames = []string{
	"a", "ab", "a/b", "a/b/c", "a#b", "a:b", "a|b", "a\x00", "a\x00b", "a%", "a_", "A", "a ", " a", "a'b", `a"b`, `a\b`,
	"\u00e9", "e\u0301", "日本", "a\nb", "%2F", "a%2Fb", "0", "00",
}

var tenants = map[string]func(*testing.T, store.Store){
	"the same ids in many tenants": func(t *testing.T, s store.Store) {
		ctx := t.Context()
		for i, name := range oddNames {
			h := store.History{Tenant: name, Integration: "hook", Incarnation: 5}
			in, rec, cur, rej := anIntegration(name, "hook"), aPartition(name, 0), aCursor(name, "hook", 0), aRejected(eventA)
			in.OpenLanes, rec.LowWatermark, cur.Failures, rej.Attempts = i, uint64(i), i, i
			commit(t, s,
				store.PutTenant{Tenant: &store.Tenant{Name: name, Integrations: i}},
				store.PutIntegration{Integration: in}, store.PutPartition{State: rec}, store.PutCursor{Cursor: cur},
				store.AddEntry{History: h, Entry: anEntry(fmt.Sprint(i))},
				store.PutRejectedCount{History: h, Count: &integration.RejectedCount{Kept: i}},
				store.PutRejected{History: h, Rejected: rej})
		}
		for i, name := range oddNames {
			what := fmt.Sprintf("tenant %q: ", name)
			h := store.History{Tenant: name, Integration: "hook", Incarnation: 5}
			ten, err := s.Tenant(ctx, name)
			equal(t, what+"Tenant", read(t, ten, err).Integrations, i)
			equal(t, what+"Tenant.Name", ten.Name, name)
			all, err := s.Integrations(ctx, name)
			if len(read(t, all, err)) != 1 || all[0].OpenLanes != i || all[0].Tenant != name {
				t.Errorf("%sIntegrations: got %d, want its own one", what, len(all))
			}
			in, err := s.Integration(ctx, name, "hook")
			equal(t, what+"Integration", read(t, in, err).OpenLanes, i)
			rec, err := s.Partition(ctx, event.Partition{Tenant: name})
			equal(t, what+"Record", read(t, rec, err).LowWatermark, uint64(i))
			cur, err := s.Cursor(ctx, handoff.Key{Tenant: name, Integration: "hook"})
			equal(t, what+"Cursor", read(t, cur, err).Failures, i)
			entries, err := s.Entries(ctx, h, 10)
			equal(t, what+"Entries", read(t, entries, err), []integration.LogEntry{anEntry(fmt.Sprint(i))})
			count, err := s.RejectedCount(ctx, h)
			equal(t, what+"RejectedCount", read(t, count, err).Kept, i)
			list, err := s.OldestRejected(ctx, h, 10)
			equal(t, what+"OldestRejected", len(read(t, list, err)), 1)
			rej, err := s.Rejected(ctx, h, eventA)
			equal(t, what+"Rejected", read(t, rej, err).Attempts, i)
		}
		due, err := s.Due(ctx, base, 1000)
		names := map[string]bool{}
		for _, k := range read(t, due, err) {
			names[k.Tenant] = true
		}
		equal(t, "tenants of the cursors due", len(names), len(oddNames))
	},
	"a deletion is of one tenant": func(t *testing.T, s store.Store) {
		for _, name := range []string{"a", "a/b"} {
			h := store.History{Tenant: name, Integration: "hook", Incarnation: 5}
			commit(t, s, store.PutIntegration{Integration: anIntegration(name, "hook")}, store.PutCursor{Cursor: aCursor(name, "hook", 0)},
				store.AddEntry{History: h, Entry: anEntry("kept")}, store.PutRejected{History: h, Rejected: aRejected(eventA)})
		}
		gone := store.History{Tenant: "a", Integration: "hook", Incarnation: 5}
		in, err := s.Integration(t.Context(), "a", "hook")
		cur, err2 := s.Cursor(t.Context(), handoff.Key{Tenant: "a", Integration: "hook"})
		commit(t, s, store.DeleteIntegration{Integration: read(t, in, err)}, store.DeleteCursor{Cursor: read(t, cur, err2)},
			store.DeleteHistory{History: gone})

		_, err = s.Integration(t.Context(), "a", "hook")
		notFound(t, "the deleted integration", err)
		kept := store.History{Tenant: "a/b", Integration: "hook", Incarnation: 5}
		in, err = s.Integration(t.Context(), "a/b", "hook")
		read(t, in, err)
		entries, err := s.Entries(t.Context(), kept, 10)
		equal(t, "entries of the other tenant", len(read(t, entries, err)), 1)
		rej, err := s.Rejected(t.Context(), kept, eventA)
		read(t, rej, err)
	},
	"lanes and integrations of one tenant are apart": func(t *testing.T, s store.Store) {
		var writes []store.Write
		for lane := range 3 {
			rec := aPartition(tenantA, lane)
			rec.LowWatermark = uint64(lane)
			writes = append(writes, store.PutPartition{State: rec})
			for i, id := range []string{"a", "a/1", "a1"} {
				cur := aCursor(tenantA, id, lane)
				cur.Failures = 10*i + lane
				writes = append(writes, store.PutCursor{Cursor: cur})
			}
		}
		commit(t, s, writes...)
		for lane := range 3 {
			rec, err := s.Partition(t.Context(), event.Partition{Tenant: tenantA, Lane: lane})
			equal(t, "Record", read(t, rec, err).LowWatermark, uint64(lane))
			for i, id := range []string{"a", "a/1", "a1"} {
				cur, err := s.Cursor(t.Context(), handoff.Key{Tenant: tenantA, Integration: id, Lane: lane})
				equal(t, "Cursor", read(t, cur, err).Failures, 10*i+lane)
			}
		}
	},
}
