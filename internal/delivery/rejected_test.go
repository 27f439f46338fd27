package delivery_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
)

func (r *rig) rejected(in *integration.Integration) []string {
	r.t.Helper()
	list, err := r.w.records.OldestRejected(context.Background(), store.HistoryOf(in), 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	if count, err := r.w.records.RejectedCount(context.Background(), store.HistoryOf(in)); err != nil || count.Kept != len(list) {
		r.t.Errorf("%d events are listed, and counted are %+v, %v", len(list), count, err)
	}
	var ids []string
	for _, e := range list {
		ids = append(ids, e.EventID)
		if _, err := r.w.records.Rejected(context.Background(), store.HistoryOf(in), e.EventID); err != nil {
			r.t.Errorf("%s is listed: %v", e.EventID, err)
		}
	}
	return ids
}

func (r *rig) retry(in *integration.Integration, eventID string) error {
	return r.rejects.Retry(context.Background(), tenant, in.ID, eventID)
}

func wantCode(t *testing.T, err error, want problem.Code) {
	t.Helper()
	if got := problem.CodeOf(err); got != want {
		t.Errorf("got %v (%s), want %s", err, got, want)
	}
}

// rejecting returns a rig with one integration whose receiver rejected n events.
func rejecting(t *testing.T, n int) (*rig, *integration.Integration, []string) {
	r := newRig(t, false, nil)
	in := r.register(hookSpec("orders"))
	time.Sleep(time.Second)
	r.answer(takes(0, refused))
	ids := r.publish(n)
	time.Sleep(time.Second)
	if got := r.rejected(in); len(got) != n {
		t.Fatalf("rejected: %v, want %d", got, n)
	}
	return r, in, ids
}

func TestRejectedEventsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, in, ids := rejecting(t, 1)
		if e := r.entries("orders", integration.ActionEventRejected); len(e) != 1 || e[0].Reason != "Event "+ids[0]+" (order.created) was rejected. "+refused.Reason {
			t.Errorf("log: %+v", e)
		}
		x, err := r.w.records.Rejected(t.Context(), store.HistoryOf(in), ids[0])
		if err != nil || x.Attempts != 1 || idOf(x.Event.Body) != ids[0] {
			t.Errorf("kept: %+v, %v", x, err)
		}
		r.answer(takes(0, delivered))
		r.wantOnce("orders", append(ids, r.publish(0)...))
		more := r.publish(2)
		time.Sleep(time.Second)
		r.wantOnce("orders", more) // delivery goes on
	})
}

// An event that is rejected while the store fails is not acknowledged: it is sent
// again, and stored then.
func TestRejectedEventThatCannotBeKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		in := r.register(hookSpec("orders"))
		time.Sleep(time.Second)
		var calls atomic.Int32
		r.answer(func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict {
			if calls.Add(1) == 1 {
				r.w.mu.Lock()
				r.w.lull, r.w.luck, r.w.FailRate = false, 1, 1000 // the next call of a port fails
				r.w.mu.Unlock()
			}
			return refused
		})
		ids := r.publish(1)
		time.Sleep(time.Minute)
		if got := r.rejected(in); !slices.Equal(got, ids) || calls.Load() != 2 {
			t.Errorf("kept %v after %d calls, want %v after 2", got, calls.Load(), ids)
		}
	})
}

// evicted returns which of the ids the log of orders names as evicted.
func (r *rig) evicted(ids []string) []string {
	r.t.Helper()
	var named []string
	entries := r.entries("orders", integration.ActionRejectedEvicted)
	for _, id := range ids {
		if slices.ContainsFunc(entries, func(e integration.LogEntry) bool { return strings.Contains(e.Reason, id) }) {
			named = append(named, id)
		}
	}
	return named
}

// With many rejections at once in several lanes, the list never exceeds its limit,
// keeps the newest, and each eviction is in the log.
func TestRejectedListIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, events = 7, 60
		r := newRig(t, false, func(s *settings.Settings) { s.MaxRejected, s.Lanes, s.InFlight = most, 3, 8 })
		in := r.register(hookSpec("orders"))
		r.register(hookSpec("neighbour"))
		time.Sleep(time.Second)
		r.answer(func(_ context.Context, in *integration.Integration, _ *event.Event, _ int) sink.Verdict {
			if in.ID == "neighbour" {
				return delivered
			}
			return refused
		})
		ids := r.publish(events)
		time.Sleep(time.Minute)
		r.wantOnce("neighbour", ids)
		r.wantOnce("orders", ids)
		got := r.rejected(in)
		evicted := r.evicted(ids)
		rejected, _ := r.rejections("orders")
		if len(got) != most || len(rejected) != events || len(evicted) != events-most {
			t.Errorf("%d kept, %d rejected, %d evicted; want %d, %d, %d", len(got), len(rejected), len(evicted), most, events, events-most)
		}
		if slices.Sort(got); len(slices.Compact(got)) != most {
			t.Errorf("one is listed twice: %v", got)
		}
	})
}

func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, in, ids := rejecting(t, 3)
		wantCode(t, r.retry(in, "nothing"), problem.NotFound)
		wantCode(t, r.rejects.Retry(t.Context(), tenant, "unknown", ids[0]), problem.NotFound)
		wantCode(t, r.rejects.Retry(t.Context(), "other", in.ID, ids[0]), problem.NotFound)

		r.answer(takes(0, busy))
		err := r.retry(in, ids[0])
		wantCode(t, err, problem.ReceiverFailed)
		if want := "The receiver failed again; event " + ids[0] + " stays in the list. " + busy.Reason; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
		wantCode(t, r.retry(in, ids[0]), problem.ReceiverFailed) // allowed at once, as the first has ended
		if got := r.rejected(in); len(got) != 3 {
			t.Errorf("it left the list: %v", got)
		}

		// Also while it is stopped.
		if _, err := r.life.Stop(t.Context(), tenant, in.ID); err != nil {
			t.Fatal(err)
		}
		r.answer(takes(0, delivered))
		if err := r.retry(in, ids[0]); err != nil {
			t.Error(err)
		}
		calls := r.got()
		if last := calls[len(calls)-1]; last.id != ids[0] || last.attempt != 4 {
			t.Errorf("sent %+v, want attempt 4", last)
		}
		left := r.rejected(in)
		slices.Sort(left)
		if want := slices.Sorted(slices.Values(ids[1:])); !slices.Equal(left, want) {
			t.Errorf("the list has %v, want %v", left, want)
		}
		if e := r.entries("orders", integration.ActionRejectedRetried); len(e) != 1 {
			t.Errorf("log: %+v", e)
		}
		wantCode(t, r.retry(in, ids[0]), problem.NotFound)
	})
}

// Of many concurrent retries one is made; the others get RetryInProgress.
func TestRetryOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, in, ids := rejecting(t, 1)
		before := len(r.got())
		r.answer(takes(3*time.Second, delivered))
		var wg sync.WaitGroup
		var made, refused atomic.Int32
		for range 8 {
			wg.Go(func() {
				switch err := r.retry(in, ids[0]); problem.CodeOf(err) {
				case "":
					made.Add(1)
				case problem.RetryInProgress:
					refused.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if made.Load() != 1 || refused.Load() != 7 || len(r.got()) != before+1 {
			t.Errorf("%d made, %d refused, %d calls", made.Load(), refused.Load(), len(r.got())-before)
		}
		if got := r.rejected(in); len(got) != 0 {
			t.Errorf("list: %v", got)
		}
	})
}

// A process that crashes with a retry in flight blocks the next retry for no longer
// than the first could have lasted.
func TestRetryAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, in, ids := rejecting(t, 1)
		r.answer(func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict {
			r.crash()
			return delivered
		})
		if err := r.retry(in, ids[0]); err == nil {
			t.Error("the crashed process got a response")
		}
		next := r.restart()
		next.answer(takes(0, delivered))
		wantCode(t, next.retry(in, ids[0]), problem.RetryInProgress)
		time.Sleep(r.w.settings.LongestCall() + 11*time.Second) // the call, the saving of its outcome, and the clocks' slack
		if err := next.retry(in, ids[0]); err != nil {
			t.Error(err)
		}
		if got := next.rejected(in); len(got) != 0 {
			t.Errorf("list: %v", got)
		}
	})
}

// The outcome is saved even if the caller is gone before the response.
func TestRetryWhoseCallerIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, in, ids := rejecting(t, 2)
		ctx, cancel := context.WithCancelCause(t.Context())
		r.answer(func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict {
			cancel(errors.New("gone"))
			return delivered
		})
		if err := r.rejects.Retry(ctx, tenant, in.ID, ids[0]); err != nil {
			t.Error(err)
		}
		if got := r.rejected(in); len(got) != 1 {
			t.Errorf("list: %v", got)
		}
		// A cancelled retry costs no attempt, and the next is allowed at once.
		ctx, cancel = context.WithCancelCause(t.Context())
		r.answer(takes(time.Hour, delivered))
		time.AfterFunc(time.Second, func() { cancel(errors.New("gone")) })
		wantCode(t, r.rejects.Retry(ctx, tenant, in.ID, ids[1]), problem.ReceiverFailed)
		r.answer(takes(0, delivered))
		if err := r.retry(in, ids[1]); err != nil {
			t.Error(err)
		}
		calls := r.got()
		if last := calls[len(calls)-1]; last.attempt != 2 {
			t.Errorf("attempt %d, want 2", last.attempt)
		}
	})
}
