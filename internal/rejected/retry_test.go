package rejected

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// hooks are webhooks that count their calls and accept everything.
type hooks struct {
	sink.Sinks
	calls int
}

func (h *hooks) Webhook(context.Context, *integration.Integration) (sink.Sender, error) {
	return h, nil
}

func (h *hooks) Send(context.Context, *event.Event, int) sink.Verdict {
	h.calls++
	return sink.Verdict{Outcome: sink.Delivered}
}

func (h *hooks) Close() {}

// only is the one integration that there is.
type only struct{ in *integration.Integration }

func (o only) Get(context.Context, string, string) (*integration.Integration, error) {
	return o.in, nil
}

// A retry that finds no place among the calls of the process sends nothing and says so;
// the event stays, and may be retried at once.
func TestRetryWithoutAPlaceForTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g, target := setup(5)
		h := &hooks{}
		registry := worker.NewRegistry(worker.Options{Sinks: h, InFlight: 1, Calls: worker.NewCalls(2), Logger: s.Logger, Now: time.Now})
		s.Integrations, s.Targets = only{target.Integration}, registry
		ok(t, add(t.Context(), s, target, 0, 1, 10))
		id := rejectedEvent(0, 0).ID

		opened, err := registry.Target(t.Context(), target.Integration)
		if err != nil {
			t.Fatal(err)
		}
		give, got := opened.TryReserve()
		if !got {
			t.Fatal("no place is free at first")
		}
		err = s.Retry(t.Context(), "a", "hook", id)
		if problem.CodeOf(err) != problem.Unavailable || h.calls != 0 {
			t.Errorf("got %v after %d calls, want it unavailable after none", err, h.calls)
		}
		if r, err := g.Rejected(t.Context(), store.HistoryOf(target.Integration), id); err != nil || !r.RetryUntil.IsZero() {
			t.Errorf("it is %+v, %v, want it kept without a retry in progress", r, err)
		}
		give()
		if err := s.Retry(t.Context(), "a", "hook", id); err != nil || h.calls != 1 {
			t.Errorf("with a place: %v after %d calls, want one", err, h.calls)
		}
		if give, got = opened.TryReserve(); !got {
			t.Fatal("the retry keeps its place")
		}
		give()
	})
}
