package dynamo_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// Cursors of all shards are merged, the longest overdue first, cursors of the same
// time by key.
func TestDueOverAllShards(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	s := tb.store()
	var want []handoff.Key
	var writes []store.Write
	for i := range 96 {
		k := handoff.Key{Tenant: string(rune('a' + i/32)), Integration: fmt.Sprintf("i%02d", i%32/2), Lane: i % 2}
		writes = append(writes, store.PutCursor{Cursor: &handoff.Cursor{Key: k, DueAt: base.Add(time.Duration(i/48) * time.Second)}})
		want = append(want, k)
	}
	rand.Shuffle(len(writes), func(i, j int) { writes[i], writes[j] = writes[j], writes[i] })
	commit(t, s, writes...)
	used := map[string]bool{}
	for _, it := range tb.scan(t) {
		used[it["timetable"]] = true
	}
	if len(used) != 16 {
		t.Errorf("the cursors are in %d shards, want 16", len(used))
	}
	for limit, expect := range map[int][]handoff.Key{100: want, 96: want, -1: nil} {
		if got, err := s.Due(t.Context(), base.Add(time.Second), limit); err != nil || !cmp.Equal(got, expect) {
			t.Errorf("limit %d, %v:\n%s", limit, err, cmp.Diff(expect, got))
		}
	}
	if got, err := s.Due(t.Context(), base.Add(time.Second-1), 100); err != nil || len(got) != 48 {
		t.Errorf("a nanosecond before the second half: %d, %v", len(got), err)
	}
	// Earlier ones come first, whatever the limit.
	got, err := s.Due(t.Context(), base.Add(time.Second), 50)
	if err != nil || !cmp.Equal(got[:48], want[:48]) {
		t.Errorf("limit 50, %v:\n%s", err, cmp.Diff(want[:48], got))
	}
}

// The index may lag behind the table. An item that it lists although the replay is
// gone or not completed is not returned.
func TestExpiredReplaysAreReadFromTheTable(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	in := func(id string) *integration.Integration {
		return &integration.Integration{Tenant: "a", ID: id, CompletedAt: base}
	}
	kept, started, deleted := in("kept"), in("started"), in("deleted")
	commit(t, tb.store(), store.PutIntegration{Integration: kept}, store.PutIntegration{Integration: started}, store.PutIntegration{Integration: deleted})
	w := &wire{change: func(c *call) (*http.Response, error) {
		if c.op == "BatchGetItem" { // after the query of the index
			started.CompletedAt = time.Time{}
			commit(t, tb.store(), store.PutIntegration{Integration: started}, store.DeleteIntegration{Integration: deleted})
		}
		return c.pass()
	}}
	over, err := tb.via(w).ExpiredReplays(t.Context(), base, 10)
	if err != nil || len(over) != 1 || over[0].ID != "kept" || over[0].Version != kept.Version {
		t.Errorf("got %v, %v, want the one that is still completed", over, err)
	}
}

// One that the index lists although it is gone, or in trouble no more, is not returned, and the
// page goes on after it. It reads each shard once, and the records of those that it returns.
func TestTroublesAreReadFromTheTable(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	all := map[string]*integration.Integration{}
	for i, id := range []string{"kept", "recovered", "deleted", "completed", "next"} {
		all[id] = &integration.Integration{Tenant: "a", ID: id, Alerts: integration.Alerts{Since: base.Add(time.Duration(i) * time.Second)}}
		commit(t, tb.store(), store.PutIntegration{Integration: all[id]})
	}
	reads := map[string]int{}
	var mu sync.Mutex
	w := &wire{change: func(c *call) (*http.Response, error) {
		mu.Lock()
		reads[c.op]++
		mu.Unlock()
		if c.op == "BatchGetItem" { // after the queries of the index
			all["recovered"].Alerts.Since, all["completed"].CompletedAt = time.Time{}, base
			commit(t, tb.store(), store.PutIntegration{Integration: all["recovered"]}, store.PutIntegration{Integration: all["completed"]},
				store.DeleteIntegration{Integration: all["deleted"]})
		}
		return c.pass()
	}}
	found, next, err := tb.via(w).Troubled(t.Context(), store.TroublePlace{}, 4)
	if err != nil || len(found) != 1 || found[0].ID != "kept" || next.ID != "completed" {
		t.Errorf("got %v, next %v, %v", found, next, err)
	}
	if want := map[string]int{"Query": 16, "BatchGetItem": 1}; !cmp.Equal(reads, want) {
		t.Errorf("it reads %v, want %v", reads, want)
	}
	if found, next, err = tb.store().Troubled(t.Context(), next, 4); err != nil || len(found) != 1 || found[0].ID != "next" || next != (store.TroublePlace{}) {
		t.Errorf("the next page is %v, next %v, %v", found, next, err)
	}
}

// Two hosts commit transfers between two records, each with an entry: nothing is
// lost, and no entry overwrites another although both clocks are stopped.
func TestTwoHosts(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	const hosts, each = 4, 12
	var wg sync.WaitGroup
	for host := range hosts {
		wg.Go(func() {
			s := tb.store()
			for done := 0; done < each; {
				ten, err1 := s.Tenant(t.Context(), "a")
				rec, err2 := s.Partition(t.Context(), event.Partition{Tenant: "a"})
				if err1 != nil || err2 != nil {
					t.Errorf("read: %v, %v", err1, err2)
					return
				}
				ten.Integrations++
				rec.LowWatermark--
				err := s.Commit(t.Context(), store.PutTenant{Tenant: ten}, store.PutPartition{State: rec}, entry(life, fmt.Sprint(host, "-", done), base))
				switch {
				case err == nil:
					done++
				case !errors.Is(err, store.ErrConflict) && problem.CodeOf(err) != problem.Unavailable:
					t.Errorf("Commit: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	s := tb.store()
	ten, err1 := s.Tenant(t.Context(), "a")
	rec, err2 := s.Partition(t.Context(), event.Partition{Tenant: "a"})
	entries, err3 := s.Entries(t.Context(), life, 1000)
	if err1 != nil || err2 != nil || err3 != nil || ten.Integrations != hosts*each || rec.LowWatermark != ^uint64(hosts*each-1) || len(entries) != hosts*each {
		t.Errorf("%d commits: %d, %d, %d entries, %v %v %v", hosts*each, ten.Integrations, -int64(rec.LowWatermark), len(entries), err1, err2, err3)
	}
}

// The error for a foreign or damaged item names it.
func TestDamagedItems(t *testing.T) {
	t.Parallel()
	for what, damage := range map[string]func(map[string]any){
		"no version": func(it map[string]any) { delete(it, "version") },
		"no doc":     func(it map[string]any) { delete(it, "doc") },
		"no JSON":    func(it map[string]any) { it["doc"] = map[string]any{"S": "{"} },
	} {
		tb := newTable(t)
		w := &wire{change: func(c *call) (*http.Response, error) {
			if c.op == "PutItem" {
				damage(c.body["Item"].(map[string]any))
			}
			return c.pass()
		}}
		s := tb.via(w)
		commit(t, s, store.PutIntegration{Integration: &integration.Integration{Tenant: "a", ID: "hook"}})
		_, err := s.Integration(t.Context(), "a", "hook")
		if problem.CodeOf(err) != problem.Internal || !strings.Contains(err.Error(), "stored") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
