package lifecycle_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
)

const elsewhere = "https://example.com/elsewhere"

func TestRedirectGoesOnFromWhereItStands(t *testing.T) {
	b := setup(t)
	in := b.register(webhook("x"))
	b.goLive("x", 0)
	b.is(b.Redirect(t.Context(), tenant, "x", elsewhere), problem.NotStopped) // another actor may still send
	b.publish(0)
	b.pass(quietAfter)
	b.scheduled = nil
	b.ok(b.Redirect(t.Context(), tenant, "x", elsewhere))
	now, err := b.Get(t.Context(), tenant, "x")
	b.ok(err)
	if !now.Running || now.Webhook.URL != elsewhere || now.Generation <= in.Generation || now.Incarnation != in.Incarnation {
		t.Errorf("redirected to %+v", now)
	}
	b.opens(now, clears[0])
	if c := b.cursor("x", 0); c.State != handoff.Scheduled || c.Offset.Segment != 0 || c.Generation != now.Generation {
		t.Errorf("its cursor is %+v", c)
	}
	if len(b.scheduled) == 0 {
		t.Error("nobody was told that its cursor is due")
	}
	want := []integration.Action{integration.ActionCreated, integration.ActionStarted, integration.ActionStopped, integration.ActionUpdated, integration.ActionStarted}
	if got := b.actions("x"); !slices.Equal(got, want) {
		t.Errorf("log %v, want %v", got, want)
	}
}

// The process ends after the stop: the URL is the old one, so that the next one goes on.
func TestRedirectThatWasInterruptedIsNotDone(t *testing.T) {
	b := setup(t)
	old := b.register(webhook("x"))
	b.store.before = func(n int) error {
		if n > 1 {
			return errors.New("killed")
		}
		return nil
	}
	if err := b.Redirect(t.Context(), tenant, "x", elsewhere); err == nil {
		t.Fatal("not interrupted")
	}
	b.store.before = nil
	b.pass(quietAfter)
	in, err := b.Get(t.Context(), tenant, "x")
	b.ok(err)
	if in.Running || in.Webhook.URL != old.Webhook.URL {
		t.Fatalf("left %+v", in)
	}
	b.ok(b.Redirect(t.Context(), tenant, "x", elsewhere))
}

func TestRedirectTakesNoSecretToAnotherOrigin(t *testing.T) {
	b := setup(t)
	b.stopped(webhook("x"))
	b.is(b.Redirect(t.Context(), tenant, "x", "https://other.example/"), problem.InvalidRequest)
	spec := webhook("y")
	spec.Webhook.APIKey = secret.String{}
	b.stopped(spec)
	b.ok(b.Redirect(t.Context(), tenant, "y", "https://other.example/"))
	b.stopped(s3("z"))
	b.is(b.Redirect(t.Context(), tenant, "z", elsewhere), problem.InvalidRequest)
}

func TestRedirectThatIsRefusedStopsNothing(t *testing.T) {
	b := setup(t)
	b.register(webhook("x"))
	b.register(s3("z"))
	b.is(b.Redirect(t.Context(), tenant, "x", "https://other.example/"), problem.InvalidRequest)
	b.is(b.Redirect(t.Context(), tenant, "x", "https://example.com/#fragment"), problem.InvalidRequest)
	b.is(b.Redirect(t.Context(), tenant, "z", elsewhere), problem.InvalidRequest)
	for _, id := range []string{"x", "z"} {
		if in, err := b.Get(t.Context(), tenant, id); err != nil || !in.Running {
			t.Errorf("%s: running %v, %v", id, in.Running, err)
		}
	}
}
