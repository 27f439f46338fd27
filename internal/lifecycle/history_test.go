package lifecycle_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

func TestEntriesAreTheNewestFifty(t *testing.T) {
	b := setup(t)
	in := b.register(webhook("orders"))
	for i := range 60 {
		b.pass(time.Second)
		b.ok(b.store.Store.Commit(t.Context(), store.AddEntry{
			History: store.HistoryOf(in),
			Entry:   integration.LogEntry{Action: integration.ActionRetryTriggered, Reason: fmt.Sprint(i), CreatedAt: b.now()},
		}))
	}
	entries, err := b.Entries(t.Context(), tenant, "orders")
	b.ok(err)
	if len(entries) != 50 || entries[0].Reason != "59" || entries[49].Reason != "10" {
		t.Errorf("%d entries, %v … %v", len(entries), entries[0], entries[len(entries)-1])
	}
	b.pass(30*24*time.Hour - 9*time.Second)
	entries, err = b.Entries(t.Context(), tenant, "orders")
	b.ok(err)
	if len(entries) != 10 {
		t.Errorf("%d entries are not older than 30 days, want 10", len(entries))
	}
}

func TestRejectedEvents(t *testing.T) {
	b := setup(t)
	in := b.register(webhook("orders"))
	if got := b.rejected("orders"); len(got) != 0 {
		t.Errorf("rejected %v", got)
	}
	b.reject(in, "e1", "e2", "e3")
	if diff := cmp.Diff([]string{"e3", "e2", "e1"}, b.rejected("orders")); diff != "" {
		t.Error(diff)
	}
	got, err := b.rejects().Get(t.Context(), tenant, "orders", "e2")
	b.ok(err)
	if got.Event.ID != "e2" {
		t.Errorf("got %+v", got)
	}
	b.ok(b.rejects().Delete(t.Context(), tenant, "orders", "e2"))
	if diff := cmp.Diff([]string{"e3", "e1"}, b.rejected("orders")); diff != "" {
		t.Error(diff)
	}
	_, err = b.rejects().Get(t.Context(), tenant, "orders", "e2")
	b.is(err, problem.NotFound)
	b.is(b.rejects().Delete(t.Context(), tenant, "orders", "e2"), problem.NotFound)
	b.Settings.MaxRejected = 1
	if diff := cmp.Diff([]string{"e3"}, b.rejected("orders")); diff != "" {
		t.Error(diff)
	}
}

// Every call on an integration that does not exist or belongs to another tenant
// returns the same error, whatever the id.
func TestNotFound(t *testing.T) {
	b := setup(t)
	b.reject(b.register(webhook("orders")), "e1")
	ctx := t.Context()
	for _, id := range []string{"orders", "", "ORDERS", "a/b", strings.Repeat("x", 3000), "\xff\x00"} {
		for name, call := range map[string]func() error{
			"get":             func() error { _, err := b.Get(ctx, "other", id); return err },
			"start":           func() error { _, err := b.Start(ctx, "other", id); return err },
			"stop":            func() error { _, err := b.Stop(ctx, "other", id); return err },
			"update":          func() error { _, err := b.Update(ctx, "other", id, nil); return err },
			"delete":          func() error { return b.Delete(ctx, "other", id) },
			"entries":         func() error { _, err := b.Entries(ctx, "other", id); return err },
			"rejected events": func() error { _, err := b.rejects().List(ctx, "other", id, integration.RejectedRef{}, 0); return err },
			"rejected event":  func() error { _, err := b.rejects().Get(ctx, "other", id, "e1"); return err },
			"delete rejected": func() error { return b.rejects().Delete(ctx, "other", id, "e1") },
		} {
			err := call()
			if problem.CodeOf(err) != problem.NotFound || len(problem.MessageOf(err)) > 200 {
				t.Errorf("%s of %.20q: %v", name, id, err)
			}
		}
	}
	if list, err := b.List(ctx, "other"); err != nil || len(list) != 0 {
		t.Errorf("another tenant sees %v, %v", list, err)
	}
	if list, err := b.List(ctx, tenant); err != nil || len(list) != 1 {
		t.Errorf("the tenant sees %v, %v", list, err)
	}
	_, err := b.Get(ctx, tenant, "missing")
	if want := `There is no integration "missing".`; problem.MessageOf(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = b.rejects().Get(ctx, tenant, "orders", strings.Repeat("x", 5000))
	b.is(err, problem.NotFound)
}
