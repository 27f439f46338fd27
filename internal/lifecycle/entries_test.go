package lifecycle_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/lifecycle"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

func TestEntriesArePaged(t *testing.T) {
	b := setup(t)
	in := b.register(webhook("orders"))
	b.addEntries(in, 120, func(i int) integration.Action {
		if i%40 == 0 {
			return integration.ActionRecovered
		}
		return integration.ActionRetryTriggered
	})
	for _, c := range []struct {
		q     lifecycle.EntryQuery
		pages []int
	}{
		{lifecycle.EntryQuery{Limit: 61}, []int{61, 61}}, // with those of the registration
		{lifecycle.EntryQuery{Limit: 50}, []int{50, 50, 22}},
		{lifecycle.EntryQuery{Limit: 200}, []int{122}},
		{lifecycle.EntryQuery{Limit: 1, Action: integration.ActionRecovered}, []int{1, 1, 1}},
		{lifecycle.EntryQuery{Limit: 3, Action: integration.ActionRecovered}, []int{3}},
		{lifecycle.EntryQuery{Limit: 2, Action: integration.ActionRecovered}, []int{2, 1}},
		{lifecycle.EntryQuery{Limit: 9, Action: integration.ActionUpdated}, []int{0}},
	} {
		var pages []int
		seen := map[string]bool{}
		for {
			entries, next, err := b.EntriesAfter(t.Context(), tenant, "orders", c.q)
			if err != nil {
				t.Fatal(err)
			}
			pages = append(pages, len(entries))
			for _, e := range entries {
				if seen[e.Reason] || c.q.Action != "" && e.Action != c.q.Action {
					t.Errorf("%+v: got %+v", c.q, e)
				}
				seen[e.Reason] = true
			}
			if c.q.After = next; next == "" {
				break
			}
		}
		if diff := cmp.Diff(c.pages, pages); diff != "" {
			t.Errorf("%+v: sizes of the pages (-want +got):\n%s", c.q, diff)
		}
	}
	if _, _, err := b.EntriesAfter(t.Context(), tenant, "orders", lifecycle.EntryQuery{Limit: 5, After: "x"}); problem.CodeOf(err) != problem.InvalidRequest {
		t.Errorf("after a place that was never given: %v", err)
	}
}

// A call for a rare action looks at some entries, and says where to go on.
func TestRareEntriesAreFoundInSeveralCalls(t *testing.T) {
	b := setup(t)
	in := b.register(webhook("orders"))
	b.addEntries(in, 1500, func(i int) integration.Action {
		if i == 0 {
			return integration.ActionRecovered
		}
		return integration.ActionRetryTriggered
	})
	q := lifecycle.EntryQuery{Limit: 5, Action: integration.ActionRecovered}
	entries, next, err := b.EntriesAfter(t.Context(), tenant, "orders", q)
	if err != nil || len(entries) != 0 || next == "" {
		t.Fatalf("got %v, %q, %v", entries, next, err)
	}
	q.After = next
	entries, next, err = b.EntriesAfter(t.Context(), tenant, "orders", q)
	if err != nil || len(entries) != 1 || next != "" {
		t.Errorf("got %v, %q, %v", entries, next, err)
	}
}

// addEntries adds n entries, a second apart, the oldest first.
func (b *bundle) addEntries(in *integration.Integration, n int, action func(i int) integration.Action) {
	b.t.Helper()
	for i := range n {
		e := integration.LogEntry{Action: action(i), Reason: fmt.Sprint(i), CreatedAt: b.now().Add(time.Duration(i) * time.Second)}
		if err := b.Store.Commit(b.t.Context(), store.AddEntry{History: store.HistoryOf(in), Entry: e}); err != nil {
			b.t.Fatal(err)
		}
	}
}
