package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// conditions: versions, and Commits that are all or nothing.
var conditions = map[string]func(*testing.T, store.Store){
	"each kind of record is conditional on its version": func(t *testing.T, s store.Store) {
		for _, k := range kinds() {
			t.Run(k.name, func(t *testing.T) { k.test(t, s) })
		}
	},
	"a conflict in the last write undoes every write": func(t *testing.T, s store.Store) {
		writeUsual(t, func(writes []store.Write) { commit(t, s, writes...) })
		for _, conflict := range conflicts() {
			writes := append(changes(t, s), conflict)
			before, given := snapshot(t, s), fmt.Sprint(versionsOf(writes))
			refused(t, s, writes...)
			equal(t, fmt.Sprintf("after a conflict in %T", conflict), snapshot(t, s), before)
			equal(t, "versions in the records given", fmt.Sprint(versionsOf(writes)), given)
		}
		commit(t, s, changes(t, s)...) // without the conflict they succeed
	},
	"a conflict in the first write undoes every write": func(t *testing.T, s store.Store) {
		writeUsual(t, func(writes []store.Write) { commit(t, s, writes...) })
		before := snapshot(t, s)
		refused(t, s, append([]store.Write{conflicts()[0]}, changes(t, s)...)...)
		equal(t, "after a conflict", snapshot(t, s), before)
	},
	"a Commit of nothing": func(t *testing.T, s store.Store) { commit(t, s) },
	"a hundred writes, and one too many": func(t *testing.T, s store.Store) {
		var writes []store.Write
		for i := range store.MaxWrites {
			writes = append(writes, store.PutCursor{Cursor: aCursor(tenantA, fmt.Sprintf("i%03d", i), 0)})
		}
		commit(t, s, writes...)
		due, err := s.Due(t.Context(), base, 1000)
		equal(t, "cursors", len(read(t, due, err)), store.MaxWrites)

		writes = nil
		for i := range store.MaxWrites + 1 {
			writes = append(writes, store.PutCursor{Cursor: aCursor("other", fmt.Sprintf("i%03d", i), 0)})
		}
		if err := s.Commit(t.Context(), writes...); err == nil || errors.Is(err, store.ErrConflict) {
			t.Errorf("Commit of %d writes: got %v, want an error that is not a conflict", len(writes), err)
		}
		_, err = s.Cursor(t.Context(), handoff.Key{Tenant: "other", Integration: "i000"})
		notFound(t, "a cursor of the refused Commit", err)
	},
	"writes that count twice": func(t *testing.T, s store.Store) {
		one := func(i int) *integration.Rejected { return aRejected(fmt.Sprintf("%s%03d", eventA[:33], i)) }
		var puts, deletes []store.Write
		for i := range store.MaxWrites / 2 {
			puts = append(puts, store.PutRejected{History: life, Rejected: one(i)})
			deletes = append(deletes, store.DeleteRejected{History: life, Ref: one(i).Ref()})
		}
		for _, writes := range [][]store.Write{puts, deletes} {
			err := s.Commit(t.Context(), append(slices.Clone(writes), store.AddEntry{History: life, Entry: anEntry("one too many")})...)
			if err == nil || errors.Is(err, store.ErrConflict) {
				t.Errorf("a Commit of more than %d writes: %v, want an error that is not a conflict", store.MaxWrites, err)
			}
			commit(t, s, writes...)
		}
		list, err := s.OldestRejected(t.Context(), life, 100)
		equal(t, "the list", len(read(t, list, err)), 0)
	},
	"two writes of one record are refused": func(t *testing.T, s store.Store) {
		c := aCursor(tenantA, "hook", 0)
		again := *c
		err := s.Commit(t.Context(), store.PutCursor{Cursor: c}, store.DeleteCursor{Cursor: &again})
		if err == nil || errors.Is(err, store.ErrConflict) {
			t.Errorf("got %v, want an error that is not a conflict", err)
		}
		_, err = s.Cursor(t.Context(), c.Key)
		notFound(t, "the cursor", err)
	},
	"a version is not given twice to records of one name": func(t *testing.T, s store.Store) {
		first := aCursor(tenantA, "hook", 0)
		commit(t, s, store.PutCursor{Cursor: first})
		stale := *first
		commit(t, s, store.DeleteCursor{Cursor: first})
		commit(t, s, store.PutCursor{Cursor: aCursor(tenantA, "hook", 0)})
		refused(t, s, store.PutCursor{Cursor: &stale}) // a worker of an earlier generation
	},
}

// kind is a kind of versioned record: how to write and delete one at a version.
type kind struct {
	name    string
	put     func(version uint64, value int) (store.Write, *uint64)
	delete  func(version uint64) store.Write // nil if it cannot be deleted
	current func(*testing.T, store.Store) (version uint64, value int)
}

func (k kind) test(t *testing.T, s store.Store) {
	never, _ := k.put(41, 1)
	refused(t, s, never) // it does not exist
	if k.delete != nil {
		refused(t, s, k.delete(41))
	}
	create, v1 := k.put(0, 2)
	commit(t, s, create)
	if *v1 == 0 {
		t.Fatal("the record given has no Version after its first Commit")
	}
	again, _ := k.put(0, 3)
	refused(t, s, again) // it must not exist

	update, v2 := k.put(*v1, 4)
	commit(t, s, update)
	if *v2 == *v1 {
		t.Errorf("Version stayed %d with an update", *v1)
	}
	stale, staleVersion := k.put(*v1, 5)
	was := *staleVersion
	refused(t, s, stale)
	equal(t, "Version of a record that was refused", *staleVersion, was)
	version, value := k.current(t, s)
	equal(t, "stored version", version, *v2)
	equal(t, "stored record", value, 4)
	if k.delete == nil {
		return
	}
	refused(t, s, k.delete(*v1))
	refused(t, s, k.delete(0))
	commit(t, s, k.delete(*v2))
	refused(t, s, k.delete(*v2))
	revive, _ := k.put(*v2, 6)
	refused(t, s, revive)
	commit(t, s, k.delete(0)) // "it must not exist yet" holds: nothing to do
	anew, _ := k.put(0, 7)
	commit(t, s, anew)
	_, value = k.current(t, s)
	equal(t, "record created again", value, 7)
}

func kinds() []kind {
	p := event.Partition{Tenant: tenantA, Lane: 0}
	key := handoff.Key{Tenant: tenantA, Integration: "hook"}
	integrationAt := func(version uint64, value int) *integration.Integration {
		in := anIntegration(tenantA, "hook")
		in.Version, in.OpenLanes = version, value
		return in
	}
	cursorAt := func(version uint64, value int) *handoff.Cursor {
		return &handoff.Cursor{Key: key, Failures: value, Version: version}
	}
	return []kind{{
		name: "Tenant",
		put: func(version uint64, value int) (store.Write, *uint64) {
			r := &store.Tenant{Name: tenantA, Integrations: value, Version: version}
			return store.PutTenant{Tenant: r}, &r.Version
		},
		current: func(t *testing.T, s store.Store) (uint64, int) {
			r, err := s.Tenant(t.Context(), tenantA)
			return read(t, r, err).Version, r.Integrations
		},
	}, {
		name: "Lanes",
		put: func(version uint64, value int) (store.Write, *uint64) {
			r := &store.Lanes{Open: map[string]int{tenantA: value}, Version: version}
			return store.PutLanes{Lanes: r}, &r.Version
		},
		current: func(t *testing.T, s store.Store) (uint64, int) {
			r, err := s.Lanes(t.Context())
			return read(t, r, err).Version, r.Open[tenantA]
		},
	}, {
		name: "Integration",
		put: func(version uint64, value int) (store.Write, *uint64) {
			r := integrationAt(version, value)
			return store.PutIntegration{Integration: r}, &r.Version
		},
		delete: func(version uint64) store.Write {
			return store.DeleteIntegration{Integration: integrationAt(version, 0)}
		},
		current: func(t *testing.T, s store.Store) (uint64, int) {
			r, err := s.Integration(t.Context(), tenantA, "hook")
			return read(t, r, err).Version, r.OpenLanes
		},
	}, {
		name: "Record",
		put: func(version uint64, value int) (store.Write, *uint64) {
			r := &handoff.PartitionState{Partition: p, LowWatermark: uint64(value), Version: version}
			return store.PutPartition{State: r}, &r.Version
		},
		current: func(t *testing.T, s store.Store) (uint64, int) {
			r, err := s.Partition(t.Context(), p)
			return read(t, r, err).Version, int(r.LowWatermark)
		},
	}, {
		name: "Cursor",
		put: func(version uint64, value int) (store.Write, *uint64) {
			r := cursorAt(version, value)
			return store.PutCursor{Cursor: r}, &r.Version
		},
		delete: func(version uint64) store.Write { return store.DeleteCursor{Cursor: cursorAt(version, 0)} },
		current: func(t *testing.T, s store.Store) (uint64, int) {
			r, err := s.Cursor(t.Context(), key)
			return read(t, r, err).Version, r.Failures
		},
	}, {
		name: "RejectedCount",
		put: func(version uint64, value int) (store.Write, *uint64) {
			r := &integration.RejectedCount{Kept: value, Version: version}
			return store.PutRejectedCount{History: life, Count: r}, &r.Version
		},
		current: func(t *testing.T, s store.Store) (uint64, int) {
			r, err := s.RejectedCount(t.Context(), life)
			return read(t, r, err).Version, r.Kept
		},
	}, {
		name: "Rejected",
		put: func(version uint64, value int) (store.Write, *uint64) {
			r := aRejected(eventA)
			r.Attempts, r.Version = value, version
			return store.PutRejected{History: life, Rejected: r}, &r.Version
		},
		current: func(t *testing.T, s store.Store) (uint64, int) {
			r, err := s.Rejected(t.Context(), life, eventA)
			return read(t, r, err).Version, r.Attempts
		},
	}}
}

// changes returns valid writes to the usual records, one of each type.
func changes(t *testing.T, s store.Store) []store.Write {
	t.Helper()
	now := snapshot(t, s)
	now.Tenant.Integrations++
	now.Lanes.Open[tenantA]++
	now.Integrations[1].Running = !now.Integrations[1].Running
	now.Partition.LowWatermark++
	now.Cursors[0].Failures++
	now.Count.Kept++
	return []store.Write{
		store.PutTenant{Tenant: now.Tenant},
		store.PutLanes{Lanes: now.Lanes},
		store.PutIntegration{Integration: now.Integrations[1]},
		store.DeleteIntegration{Integration: now.Integrations[0]},
		store.PutPartition{State: now.Partition},
		store.PutCursor{Cursor: now.Cursors[0]},
		store.PutCursor{Cursor: aCursor(tenantA, "new", 0)},
		store.AddEntry{History: life, Entry: anEntry("changed")},
		store.PutRejectedCount{History: life, Count: now.Count},
		store.DeleteRejected{History: life, Ref: aRejected(eventA).Ref()},
		store.PutRejected{History: life, Rejected: aRejected(eventB)},
	}
}

// conflicts returns writes whose condition fails, one of each type with a
// condition, to records that changes does not touch.
func conflicts() []store.Write {
	elsewhere := store.History{Tenant: "other", Integration: "hook", Incarnation: 1}
	in, cur, rec, rej := anIntegration("other", "hook"), aCursor("other", "hook", 0), aPartition("other", 0), aRejected(eventA)
	in.Version, cur.Version, rec.Version, rej.Version = 77, 77, 77, 77
	return []store.Write{
		store.PutTenant{Tenant: &store.Tenant{Name: "other", Version: 77}},
		store.PutIntegration{Integration: in},
		store.DeleteIntegration{Integration: in},
		store.PutPartition{State: rec},
		store.PutCursor{Cursor: cur},
		store.DeleteCursor{Cursor: cur},
		store.PutRejectedCount{History: elsewhere, Count: &integration.RejectedCount{Version: 77}},
		store.PutRejected{History: elsewhere, Rejected: rej},
	}
}

func versionsOf(writes []store.Write) []uint64 {
	var versions []uint64
	for _, w := range writes {
		switch w := w.(type) {
		case store.PutTenant:
			versions = append(versions, w.Tenant.Version)
		case store.PutLanes:
			versions = append(versions, w.Lanes.Version)
		case store.PutIntegration:
			versions = append(versions, w.Integration.Version)
		case store.PutPartition:
			versions = append(versions, w.State.Version)
		case store.PutCursor:
			versions = append(versions, w.Cursor.Version)
		case store.PutRejectedCount:
			versions = append(versions, w.Count.Version)
		case store.PutRejected:
			versions = append(versions, w.Rejected.Version)
		}
	}
	return versions
}
