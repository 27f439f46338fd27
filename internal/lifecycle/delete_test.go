package lifecycle_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
)

// reject stores rejected events as the engine does, the first one oldest.
func (b *bundle) reject(in *integration.Integration, ids ...string) {
	b.t.Helper()
	h := store.HistoryOf(in)
	count, err := b.Store.RejectedCount(b.t.Context(), h)
	b.ok(err)
	writes := []store.Write{store.PutRejectedCount{History: h, Count: count}}
	for _, id := range ids {
		r := &integration.Rejected{Event: event.Event{ID: id, Tenant: tenant}, CreatedAt: count.Add(b.now())}
		writes = append(writes, store.PutRejected{History: h, Rejected: r})
	}
	b.ok(b.store.Store.Commit(b.t.Context(), writes...))
}

func (b *bundle) rejected(id string) []string {
	b.t.Helper()
	entries, err := b.rejects().List(b.t.Context(), tenant, id, integration.RejectedRef{}, 0)
	b.ok(err)
	ids := []string{}
	for _, e := range entries {
		ids = append(ids, e.EventID)
	}
	return ids
}

func TestDelete(t *testing.T) {
	for name, set := range map[string]func(*bundle){
		"scheduled": func(*bundle) {},
		"following": func(b *bundle) { b.goLive("orders", 0); b.goLive("orders", 1) },
		"stopping":  func(b *bundle) { b.stop("orders") },
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			b.Settings.Lanes = 2
			b.register(webhook("other"))
			b.goLive("other", 0)
			in := b.register(webhook("orders"))
			b.reject(in, "e1")
			set(b)
			in, err := b.Get(t.Context(), tenant, "orders")
			b.ok(err)
			quiesced := uint64(0)
			b.Quiesce = func(_ context.Context, _, id string, generation uint64) bool {
				if _, err := b.Get(t.Context(), tenant, id); problem.CodeOf(err) != problem.NotFound {
					t.Error("quiesced before the deletion is committed")
				}
				quiesced = generation
				return true
			}
			b.ok(b.Delete(t.Context(), tenant, "orders"))
			if quiesced != in.Generation+1 {
				t.Errorf("quiesced below %d, want %d", quiesced, in.Generation+1)
			}
			s := b.state(tenant)
			if len(s.Integrations) != 1 || s.Tenant.Integrations != 1 || len(s.Records[0].Live) != 1 || s.Records[0].Find("other") == nil || len(s.Records[1].Live) != 0 {
				t.Errorf("left: %+v", s)
			}
			if entries, _ := b.Store.Entries(t.Context(), store.HistoryOf(in), 10); len(entries) != 0 {
				t.Errorf("log: %v", entries)
			}
			if due, _ := b.Store.Due(t.Context(), b.now(), 10); len(due) != 1 || due[0].Integration != "other" {
				t.Errorf("due: %v", due)
			}
			b.is(b.Delete(t.Context(), tenant, "orders"), problem.NotFound)
		})
	}
}

func TestNamesakeOfADeletedOne(t *testing.T) {
	b := setup(t)
	in := b.register(webhook("orders"))
	b.reject(in, "e1")
	b.stop("orders")
	b.publish(0)
	b.ok(b.Delete(t.Context(), tenant, "orders"))
	again := b.register(webhook("orders"))
	if again.Incarnation <= in.Incarnation || again.Generation <= in.Generation+1 {
		t.Errorf("generation %d, incarnation %d", again.Generation, again.Incarnation)
	}
	if diff := cmp.Diff([]integration.Action{integration.ActionCreated, integration.ActionStarted}, b.actions("orders")); diff != "" {
		t.Errorf("log: %s", diff)
	}
	if got := b.rejected("orders"); len(got) != 0 {
		t.Errorf("rejected: %v", got)
	}
	_, err := b.rejects().Get(t.Context(), tenant, "orders", "e1")
	b.is(err, problem.NotFound)
	if c := b.cursor("orders", 0); c.Offset.Segment != 1 || c.State != handoff.Scheduled {
		t.Errorf("cursor %+v", c)
	}
}

func TestDeleteExpiredReplays(t *testing.T) {
	b := setup(t)
	b.Settings.MaxIntegrations = 300
	complete := func(id string, at time.Time) {
		in := b.register(b.replay(id))
		in.Running, in.CompletedAt = false, at
		b.ok(b.store.Store.Commit(t.Context(), store.PutIntegration{Integration: in}))
	}
	for i := range 250 { // more than a page
		complete(fmt.Sprintf("r%d", i), began)
	}
	complete("recent", began.Add(time.Millisecond))
	b.register(b.replay("open"))
	b.pass(24 * time.Hour)
	b.ok(b.DeleteExpiredReplays(t.Context()))
	s := b.state(tenant)
	if len(s.Integrations) != 2 || s.Tenant.Integrations != 2 || s.Integrations[0].ID != "open" || s.Integrations[1].ID != "recent" {
		t.Errorf("left: %d", len(s.Integrations))
	}
}

func TestDeleteExpiredReplaysSparesANewOneOfTheSameID(t *testing.T) {
	b := setup(t)
	in := b.register(b.replay("replay"))
	in.Running, in.CompletedAt = false, began
	b.ok(b.store.Store.Commit(t.Context(), store.PutIntegration{Integration: in}))
	b.pass(24 * time.Hour)
	b.store.listed = func() {
		b.ok(b.Delete(t.Context(), tenant, "replay"))
		b.register(b.replay("replay"))
		b.Quiesce = func(context.Context, string, string, uint64) bool { t.Error("its work was ended"); return true }
	}
	b.ok(b.DeleteExpiredReplays(t.Context()))
	if _, err := b.Get(t.Context(), tenant, "replay"); err != nil {
		t.Error(err)
	}
}

func TestDeleteExpiredReplaysContinuesAfterAnError(t *testing.T) {
	b := setup(t)
	for _, id := range []string{"a", "b", "c"} {
		in := b.register(b.replay(id))
		in.Running, in.CompletedAt = false, began
		b.ok(b.store.Store.Commit(t.Context(), store.PutIntegration{Integration: in}))
	}
	b.pass(24 * time.Hour)
	b.store.before = func(n int) error {
		if n == 2 {
			return problem.New(problem.Unavailable, "not now")
		}
		return nil
	}
	b.is(b.DeleteExpiredReplays(t.Context()), problem.Unavailable)
	if s := b.state(tenant); len(s.Integrations) != 1 || s.Integrations[0].ID != "b" {
		t.Errorf("left: %+v", s.Integrations)
	}
	b.store.before = nil
	b.ok(b.DeleteExpiredReplays(t.Context()))
	if s := b.state(tenant); len(s.Integrations) != 0 {
		t.Errorf("left: %+v", s.Integrations)
	}
}
