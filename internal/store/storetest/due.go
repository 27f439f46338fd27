package storetest

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// dueIndexes: what the store finds by time.
var dueIndexes = map[string]func(*testing.T, store.Store){
	"due cursors, the longest overdue first": func(t *testing.T, s store.Store) {
		due := func(tenant, id string, lane int, at time.Time, state handoff.State) *handoff.Cursor {
			c := aCursor(tenant, id, lane)
			c.DueAt, c.State = at, state
			return c
		}
		late := due("b", "late", 1, base.Add(-time.Hour), handoff.Scheduled)
		latest := due("a", "latest", 0, base.Add(-30*24*time.Hour), handoff.Scheduled)
		replay := due("c", "replay", 0, base.Add(-time.Minute), handoff.Live) // may leave the live set then
		now := due("a", "now", 0, base, handoff.Scheduled)
		soon := due("a", "soon", 0, base.Add(time.Millisecond), handoff.Scheduled)
		commit(t, s, store.PutCursor{Cursor: now}, store.PutCursor{Cursor: soon}, store.PutCursor{Cursor: late},
			store.PutCursor{Cursor: replay}, store.PutCursor{Cursor: latest},
			store.PutCursor{Cursor: due("a", "live", 0, time.Time{}, handoff.Live)},
			store.PutCursor{Cursor: due("a", "paused", 0, time.Time{}, handoff.Paused)},
			store.PutCursor{Cursor: due("a", "finished", 0, time.Time{}, handoff.Finished)})

		expect := func(what string, before time.Time, limit int, want ...*handoff.Cursor) {
			t.Helper()
			keys, err := s.Due(t.Context(), before, limit)
			equal(t, what, read(t, keys, err), keysOf(want...))
		}
		expect("at base", base, 100, latest, late, replay, now)
		expect("limited", base, 2, latest, late)
		expect("just before base", base.Add(-time.Millisecond), 100, latest, late, replay)
		expect("limit 0", base, 0)
		expect("before all", base.Add(-365*24*time.Hour), 100)

		late.DueAt = base.Add(time.Hour) // as by a lease
		replay.DueAt = time.Time{}
		commit(t, s, store.PutCursor{Cursor: late}, store.PutCursor{Cursor: replay}, store.DeleteCursor{Cursor: latest})
		expect("after changes", base, 100, now)
		expect("an hour later", base.Add(time.Hour), 100, now, soon, late)
	},
	"a cursor that keeps its place in the due index": func(t *testing.T, s store.Store) {
		c, next := aCursor("a", "fails", 0), aCursor("a", "next", 0)
		c.DueAt, next.DueAt = base, base.Add(time.Minute)
		commit(t, s, store.PutCursor{Cursor: c}, store.PutCursor{Cursor: next})
		c.DueAt, c.Failures = base.Add(time.Hour), 7
		commit(t, s, store.PutCursor{Cursor: c, KeepDue: true})
		got, err := s.Cursor(t.Context(), c.Key)
		equal(t, "the cursor", read(t, got, err), c)
		keys, err := s.Due(t.Context(), base.Add(time.Hour), 100)
		equal(t, "how many are due at its DueAt", len(read(t, keys, err)), 2)
		stale := *c
		stale.Version--
		refused(t, s, store.PutCursor{Cursor: &stale, KeepDue: true})
		c.DueAt = base.Add(2 * time.Hour)
		commit(t, s, store.PutCursor{Cursor: c})
		keys, err = s.Due(t.Context(), base.Add(time.Hour), 100)
		equal(t, "due after it was moved", read(t, keys, err), keysOf(next))
	},
	"expired replays": func(t *testing.T, s store.Store) {
		completed := func(tenant, id string, at time.Time) *integration.Integration {
			in := anIntegration(tenant, id)
			in.CompletedAt = at
			return in
		}
		old, older, now := completed("b", "old", base.Add(-time.Hour)), completed("c", "older", base.Add(-2*time.Hour)), completed("a", "now", base)
		commit(t, s, store.PutIntegration{Integration: old}, store.PutIntegration{Integration: older}, store.PutIntegration{Integration: now},
			store.PutIntegration{Integration: completed("a", "soon", base.Add(time.Millisecond))},
			store.PutIntegration{Integration: completed("a", "open", time.Time{})})

		over, err := s.ExpiredReplays(t.Context(), base, 100)
		equal(t, "at base", read(t, over, err), []*integration.Integration{older, old, now})
		over, err = s.ExpiredReplays(t.Context(), base.Add(-time.Millisecond), 100)
		equal(t, "just before base", read(t, over, err), []*integration.Integration{older, old})
		over, err = s.ExpiredReplays(t.Context(), base, 1)
		equal(t, "limited", len(read(t, over, err)), 1)

		older.CompletedAt = time.Time{}
		commit(t, s, store.PutIntegration{Integration: older}, store.DeleteIntegration{Integration: old})
		over, err = s.ExpiredReplays(t.Context(), base, 100)
		equal(t, "after changes", read(t, over, err), []*integration.Integration{now})
	},
}
