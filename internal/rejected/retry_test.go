package rejected

import (
	"context"
	"strings"
	"sync/atomic"
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
	takes time.Duration // a call, unless it is ended before
}

func (h *hooks) Webhook(context.Context, *integration.Integration) (sink.Sender, error) {
	return h, nil
}

func (h *hooks) Send(ctx context.Context, _ *event.Event, _ int) sink.Verdict {
	h.calls++
	select {
	case <-time.After(h.takes):
		return sink.Verdict{Outcome: sink.Delivered}
	case <-ctx.Done():
		return sink.Verdict{Outcome: sink.Interrupted}
	}
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

// A place is free once the longest of the calls in flight has ended: a retry waits for it.
func TestRetryWaitsForTheLongestCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, target := setup(5)
		h := &hooks{}
		registry := worker.NewRegistry(worker.Options{Sinks: h, InFlight: 1, Calls: worker.NewCalls(2), Logger: s.Logger, Now: time.Now})
		s.Integrations, s.Targets = only{target.Integration}, registry
		ok(t, add(t.Context(), s, target, 0, 1, 10))
		opened, err := registry.Target(t.Context(), target.Integration)
		if err != nil {
			t.Fatal(err)
		}
		give, _ := opened.TryReserve()
		time.AfterFunc(s.Settings.LongestCall()-time.Millisecond, give)
		if err := s.Retry(t.Context(), "a", "hook", rejectedEvent(0, 0).ID); err != nil || h.calls != 1 {
			t.Errorf("got %v after %d calls, want one", err, h.calls)
		}
	})
}

// Where a request has a deadline, as in a function, a receiver that responds too late for it
// costs no more than the call: the answer comes, and the event may be retried at once.
func TestRetryAnswersBeforeItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g, target := setup(5)
		h := &hooks{takes: time.Minute}
		s.Settings.WebhookTimeout = 2 * time.Minute
		s.Integrations = only{target.Integration}
		s.Targets = worker.NewRegistry(worker.Options{Sinks: h, InFlight: 1, Calls: worker.NewCalls(2), Logger: s.Logger, Now: time.Now})
		ok(t, add(t.Context(), s, target, 0, 1, 10))
		id := rejectedEvent(0, 0).ID
		ctx, cancel := context.WithTimeout(t.Context(), 29*time.Second)
		defer cancel()
		err := s.Retry(ctx, "a", "hook", id)
		if problem.CodeOf(err) != problem.ReceiverFailed || !strings.Contains(err.Error(), "did not respond in time") || ctx.Err() != nil {
			t.Errorf("got %v, and the deadline has passed: %v", err, ctx.Err())
		}
		if r, err := g.Rejected(t.Context(), store.HistoryOf(target.Integration), id); err != nil || !r.RetryUntil.IsZero() {
			t.Errorf("it is %+v, %v, want it kept without a retry in progress", r, err)
		}
	})
}

// A store may take longer for the outcome of a retry than a receiver may take to respond: what
// was delivered leaves the list all the same.
func TestRetrySavesItsOutcomeHoweverShortTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g, target := setup(5)
		s.Settings.WebhookTimeout = time.Second
		s.Integrations = only{target.Integration}
		s.Targets = worker.NewRegistry(worker.Options{Sinks: &hooks{}, InFlight: 1, Calls: worker.NewCalls(2), Logger: s.Logger, Now: time.Now})
		ok(t, add(t.Context(), s, target, 0, 1, 10))
		id := rejectedEvent(0, 0).ID
		g.fail = func(ctx context.Context) error {
			time.Sleep(5 * time.Second)
			return ctx.Err()
		}
		if err := s.Retry(t.Context(), "a", "hook", id); err != nil {
			t.Errorf("delivered, but the outcome is not saved: %v", err)
		}
		if left := list(t, g, target); len(left) != 0 {
			t.Errorf("%v is still in the list", left)
		}
	})
}

// While the outcome of a retry is saved, another one would send the event again.
func TestRetryIsInProgressUntilItsOutcomeIsSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g, target := setup(5)
		s.Settings.WebhookTimeout = time.Second
		s.Integrations = only{target.Integration}
		h := &hooks{}
		s.Targets = worker.NewRegistry(worker.Options{Sinks: h, InFlight: 1, Calls: worker.NewCalls(2), Logger: s.Logger, Now: time.Now})
		ok(t, add(t.Context(), s, target, 0, 1, 10))
		id := rejectedEvent(0, 0).ID
		var commits atomic.Int32
		g.fail = func(context.Context) error {
			if commits.Add(1) == 2 { // the outcome of the first
				time.Sleep(8 * time.Second)
			}
			return nil
		}
		first := make(chan error, 1)
		go func() { first <- s.Retry(t.Context(), "a", "hook", id) }()
		time.Sleep(7 * time.Second) // its lease was saved, the call is over, and the outcome is on its way
		err := s.Retry(t.Context(), "a", "hook", id)
		if problem.CodeOf(err) != problem.RetryInProgress {
			t.Errorf("got %v, want a retry in progress", err)
		}
		if err := <-first; err != nil || h.calls != 1 {
			t.Errorf("the first: %v, %d calls", err, h.calls)
		}
	})
}

// A store that does not answer costs a function no more than the outcome: its caller is answered.
func TestRetryAnswersThoughItsOutcomeIsNotSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g, target := setup(5)
		s.Integrations = only{target.Integration}
		s.Settings.WebhookTimeout = 25 * time.Second
		h := &hooks{takes: 23 * time.Second}
		s.Targets = worker.NewRegistry(worker.Options{Sinks: h, InFlight: 1, Calls: worker.NewCalls(2), Logger: s.Logger, Now: time.Now})
		ok(t, add(t.Context(), s, target, 0, 1, 10))
		ctx, cancel := context.WithTimeout(t.Context(), 29*time.Second)
		defer cancel()
		g.fail = func(ctx context.Context) error {
			if h.calls == 0 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		if err := s.Retry(ctx, "a", "hook", rejectedEvent(0, 0).ID); err == nil || ctx.Err() != nil {
			t.Errorf("got %v, and the deadline has passed: %v", err, ctx.Err())
		}
	})
}
