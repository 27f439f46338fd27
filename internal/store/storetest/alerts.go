package storetest

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// alerts: what an operator is still to be told.
var alerts = map[string]func(*testing.T, store.Store){
	"alerts that are due, in the order of time": func(t *testing.T, s store.Store) {
		alert := func(h store.History, number uint64, due time.Time) *store.Alert {
			return &store.Alert{
				History: h, Number: number, Kind: integration.AlertStopped, At: base, DueAt: due, Payload: []byte(`{"tenant":"ü","id":"a"}`),
			}
		}
		other := store.History{Tenant: "b", Integration: "hook", Incarnation: 5}
		tenth, second := alert(life, 10, base), alert(life, 2, base)
		first, later := alert(other, 1, base.Add(-time.Hour)), alert(other, 2, base.Add(time.Millisecond))
		later.Payload = nil
		commit(t, s, store.PutAlert{Alert: tenth}, store.PutAlert{Alert: first}, store.PutAlert{Alert: later}, store.PutAlert{Alert: second})

		expect := func(what string, before time.Time, limit int, want ...*store.Alert) {
			t.Helper()
			got, err := s.Alerts(t.Context(), before, limit)
			equal(t, what, read(t, got, err), want)
		}
		expect("at base", base, 100, first, second, tenth)
		expect("limited", base, 1, first)
		expect("limit 0", base, 0)
		expect("before all", base.Add(-2*time.Hour), 100)

		second.DueAt = base.Add(time.Hour) // as by a process that takes it
		commit(t, s, store.PutAlert{Alert: second}, store.DeleteAlert{Alert: first})
		expect("after changes", base, 100, tenth)
		expect("an hour later", base.Add(time.Hour), 100, tenth, later, second)
	},
	"of two that take an alert one does": func(t *testing.T, s store.Store) {
		a := &store.Alert{History: life, Number: 1, Kind: integration.AlertFailing, At: base, DueAt: base}
		commit(t, s, store.PutAlert{Alert: a})
		mine, theirs := *a, *a
		mine.DueAt, theirs.DueAt = base.Add(time.Minute), base.Add(time.Hour)
		commit(t, s, store.PutAlert{Alert: &mine})
		refused(t, s, store.PutAlert{Alert: &theirs})
		refused(t, s, store.PutAlert{Alert: &store.Alert{History: life, Number: 1, DueAt: base}})
		commit(t, s, store.DeleteAlert{Alert: &theirs}) // whatever its version
		commit(t, s, store.DeleteAlert{Alert: &theirs}) // and if it is gone
		refused(t, s, store.PutAlert{Alert: &mine})
	},
	"an alert is there with the rest of its commit, or not at all": func(t *testing.T, s store.Store) {
		c := aCursor(tenantA, "hook", 0)
		commit(t, s, store.PutCursor{Cursor: c})
		stale := *c
		stale.Version--
		refused(t, s, store.PutCursor{Cursor: &stale}, store.PutAlert{Alert: &store.Alert{History: life, Number: 1, DueAt: base}})
		got, err := s.Alerts(t.Context(), base, 10)
		equal(t, "alerts", read(t, got, err), []*store.Alert{})
	},
}
