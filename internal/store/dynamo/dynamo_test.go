package dynamo_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		t.Parallel()
		return newTable(t).store()
	})
}

// DynamoDB may return every query and batch in parts.
func TestStoreInParts(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		t.Parallel()
		return newTable(t).via(&wire{change: func(c *call) (*http.Response, error) {
			if c.op == "Query" {
				c.body["Limit"] = 3
			}
			if c.op == "BatchGetItem" {
				return c.inPart()
			}
			return c.pass()
		}})
	})
}

// The requests that the hot paths and the common reads make.
func TestRequests(t *testing.T) {
	t.Parallel()
	w := &wire{}
	s := newTable(t).via(w)
	p := event.Partition{Tenant: "a"}
	rec := &handoff.PartitionState{Partition: p, LowWatermark: 1}
	cur := &handoff.Cursor{Key: handoff.Key{Tenant: "a", Integration: "hook"}, DueAt: base}
	in := &integration.Integration{Tenant: "a", ID: "hook", CompletedAt: base}
	ctx := t.Context()
	for _, c := range []struct {
		what, want string
		run        func() error
	}{
		{"commit of a new partition state", "[PutItem:1]", func() error { return s.Commit(ctx, store.PutPartition{State: rec}) }},
		{"commit of a partition state", "[PutItem:1]", func() error { return s.Commit(ctx, store.PutPartition{State: rec}) }},
		{"commit of an entry", "[PutItem:1]", func() error { return s.Commit(ctx, entry(life, "x", base)) }},
		{"join", "[TransactWriteItems:1]", func() error {
			return s.Commit(ctx, store.PutPartition{State: rec}, store.PutCursor{Cursor: cur}, store.PutIntegration{Integration: in})
		}},
		{"deletion of a history", "[TransactWriteItems:1]", func() error { return s.Commit(ctx, store.DeleteHistory{History: life}) }},
		{"deletion of a rejected event", "[TransactWriteItems:1]", func() error {
			return s.Commit(ctx, store.DeleteRejected{History: life, Ref: integration.RejectedRef{EventID: "x", CreatedAt: base}})
		}},
		{"Tenant", "[GetItem:1]", func() error { _, err := s.Tenant(ctx, "a"); return err }},
		{"Record", "[GetItem:1]", func() error { _, err := s.Partition(ctx, p); return err }},
		{"Cursor", "[GetItem:1]", func() error { _, err := s.Cursor(ctx, cur.Key); return err }},
		{"Integration", "[GetItem:1]", func() error { _, err := s.Integration(ctx, "a", "hook"); return err }},
		{"Integrations", "[Query:1]", func() error { _, err := s.Integrations(ctx, "a"); return err }},
		{"Entries", "[Query:1]", func() error { _, err := s.Entries(ctx, life, 50); return err }},
		{"RejectedCount", "[GetItem:1]", func() error { _, err := s.RejectedCount(ctx, life); return err }},
		{"OldestRejected", "[BatchGetItem:1 Query:1]", func() error { _, err := s.OldestRejected(ctx, of("other"), 10); return err }},
		{"Rejected", "[BatchGetItem:1]", func() error {
			_, err := s.Rejected(ctx, life, "x")
			if strings.HasPrefix(err.Error(), "There is no") {
				return nil
			}
			return err
		}},
		{"Due", "[Query:16]", func() error { _, err := s.Due(ctx, base, 50); return err }},
		{"ExpiredReplays", "[BatchGetItem:1 Query:16]", func() error { _, err := s.ExpiredReplays(ctx, base, 50); return err }},
		{"nothing", "[]", func() error { return s.Commit(ctx) }},
	} {
		if err := c.run(); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if got := w.count(); got != c.want {
			t.Errorf("%s takes %s, want %s", c.what, got, c.want)
		}
	}
}

// A page of what is in trouble is one query of each shard, also where a shard has more than
// the page, and from a place on that is in it.
func TestAPageOfTroublesIsOneQueryOfEachShard(t *testing.T) {
	t.Parallel()
	w := &wire{}
	s := newTable(t).via(w)
	for i := range 100 {
		in := &integration.Integration{Tenant: "a", ID: fmt.Sprint("hook-", i), Alerts: integration.Alerts{Since: base.Add(time.Duration(i) * time.Second)}}
		if err := s.Commit(t.Context(), store.PutIntegration{Integration: in}); err != nil {
			t.Fatal(err)
		}
	}
	w.count()
	var place store.TroublePlace
	for page := range 50 {
		found, next, err := s.Troubled(t.Context(), place, 2)
		if err != nil || len(found) != 2 || next == (store.TroublePlace{}) != (page == 49) {
			t.Fatalf("page %d: %d, next %v, %v", page, len(found), next, err)
		}
		if got := w.count(); got != "[BatchGetItem:1 Query:16]" {
			t.Errorf("page %d takes %s", page, got)
		}
		place = next
	}
}

// A record that is damaged is in the list with what the index has of it, and hides no other.
func TestADamagedRecordHidesNoOtherTrouble(t *testing.T) {
	t.Parallel()
	s := newTable(t).via(&wire{change: func(c *call) (*http.Response, error) {
		if item, _ := c.body["Item"].(map[string]any); c.op == "PutItem" && strings.Contains(fmt.Sprint(item), "hook-b") {
			item["doc"] = map[string]any{"S": "{"}
		}
		return c.pass()
	}})
	for _, id := range []string{"hook-a", "hook-b", "hook-c"} {
		in := &integration.Integration{Tenant: "a", ID: id, Alerts: integration.Alerts{Since: base}}
		if err := s.Commit(t.Context(), store.PutIntegration{Integration: in}); err != nil {
			t.Fatal(err)
		}
	}
	found, _, err := s.Troubled(t.Context(), store.TroublePlace{}, 9)
	if err != nil || len(found) != 3 || found[0].Integration == nil || found[2].Integration == nil {
		t.Fatalf("%+v, %v", found, err)
	}
	if b := found[1]; b.TroublePlace != (store.TroublePlace{Since: base, Tenant: "a", ID: "hook-b"}) || b.Integration != nil || b.Err == nil {
		t.Errorf("the damaged one is %+v", b)
	}
}

// The protocol of the live set depends on consistent reads; DynamoDB Local is
// always consistent, so the requests are checked.
func TestReadsAreConsistent(t *testing.T) {
	t.Parallel()
	asked := map[string]bool{}
	w := &wire{change: func(c *call) (*http.Response, error) {
		consistent := c.body["ConsistentRead"]
		if c.op == "BatchGetItem" {
			for _, of := range c.body["RequestItems"].(map[string]any) {
				consistent = of.(map[string]any)["ConsistentRead"]
			}
		}
		if _, index := c.body["IndexName"]; !index {
			asked[c.op] = consistent == true
		}
		return c.pass()
	}}
	s := newTable(t).via(w)
	ctx := t.Context()
	read := []func(context.Context){
		func(ctx context.Context) { _, _ = s.Partition(ctx, event.Partition{Tenant: "a"}) },
		func(ctx context.Context) { _, _ = s.Rejected(ctx, life, "x") },
	}
	for _, r := range read {
		r(ctx)
	}
	for _, query := range []func() error{
		func() error { _, err := s.Integrations(ctx, "a"); return err },
		func() error { _, err := s.Entries(ctx, life, 5); return err },
	} {
		asked["Query"] = false
		if err := query(); err != nil || !asked["Query"] {
			t.Errorf("a query is not consistent, %v", err)
		}
	}
	if diff := cmp.Diff(map[string]bool{"GetItem": true, "BatchGetItem": true, "Query": true}, asked); diff != "" {
		t.Errorf("consistent reads (-want +got):\n%s", diff)
	}
}

func TestEntriesExpire(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	s := tb.store()
	now := clock()
	const days = 24 * time.Hour
	commit(t, s,
		entry(life, "now", now),
		entry(life, "edge", now.Add(-30*days)),
		entry(life, "over", now.Add(-30*days-time.Millisecond)),
		entry(life, "old", now.Add(-300*days)),
		entry(life, "ancient", time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC)),
		entry(life, "zero", time.Time{}))
	entries, err := s.Entries(t.Context(), life, 50)
	if got := reasons(entries); err != nil || got != "now edge" {
		t.Errorf("got %q, %v, want those of the last 30 days", got, err)
	}
	for _, it := range tb.scan(t) {
		if strings.Contains(it["doc"], `"now"`) && it["expires"] != "1751371260" { // 2025-07-01T12:01
			t.Errorf("expires is %s, want 30 days after its creation", it["expires"])
		}
	}
}

// Entries are ordered by time to the nanosecond, then by commit, even if the clock
// does not advance.
func TestEntriesAreInOrder(t *testing.T) {
	t.Parallel()
	s := newTable(t).store()
	for i := range 12 {
		commit(t, s, entry(life, string(rune('a'+i)), base))
	}
	commit(t, s, entry(life, "2", base.Add(2)), entry(life, "1", base.Add(1)), entry(life, "3", base.Add(1e6)))
	entries, err := s.Entries(t.Context(), life, 50)
	if got := reasons(entries); err != nil || got != "3 2 1 l k j i h g f e d c b a" {
		t.Errorf("got %q, %v", got, err)
	}
}
