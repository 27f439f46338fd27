package delivery_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/rejected"
	"github.com/sluicehq/sluice/internal/sink"
)

// Those that the receiver accepts leave the list, the others stay with their cause, and an
// id that is not in the list is named. Each is sent once, though named twice.
func TestRetryOfSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, in, _ := rejecting(t, 6)
		ids := r.rejected(in)
		r.answer(cannotTake(ids[1]))
		calls := len(r.got())
		got, err := r.rejects.RetryAll(t.Context(), tenant, in.ID, []string{ids[2], ids[1], "unknown", ids[0], ids[2]})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Done, []string{ids[2], ids[0]}) || got.Remaining != 0 {
			t.Errorf("delivered %v, %d remain", got.Done, got.Remaining)
		}
		want := []rejected.BulkFailure{{EventID: ids[1], Cause: busy.Reason}, {EventID: "unknown", Cause: string(problem.NotFound)}}
		if !slices.Equal(got.Failed, want) || len(r.got())-calls != 3 {
			t.Errorf("failed are %v after %d calls, want %v after 3", got.Failed, len(r.got())-calls, want)
		}
		if left := r.rejected(in); !slices.Equal(left, []string{ids[1], ids[3], ids[4], ids[5]}) {
			t.Errorf("left are %v", left)
		}
		got, err = r.rejects.RetryAll(t.Context(), tenant, in.ID, nil)
		if err != nil || len(got.Done) != 3 || len(got.Failed) != 1 {
			t.Errorf("all: %+v, %v", got, err)
		}
		if left := r.rejected(in); !slices.Equal(left, ids[1:2]) {
			t.Errorf("left are %v", left)
		}
	})
}

// A slow receiver gets no call that may end after 20 s; what was not reached is counted,
// and is not touched.
func TestRetryOfAllTakesABoundedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, in, _ := rejecting(t, 30)
		ids := r.rejected(in)
		r.answer(takes(4*time.Second, delivered))
		began := time.Now()
		got, err := r.rejects.RetryAll(t.Context(), tenant, in.ID, nil)
		if err != nil || time.Since(began) > 20*time.Second {
			t.Errorf("it took %v: %v", time.Since(began), err)
		}
		if len(got.Done) == 0 || got.Remaining == 0 || len(got.Done)+got.Remaining != 30 || len(got.Failed) != 0 {
			t.Errorf("%d delivered, %d failed, %d remain", len(got.Done), len(got.Failed), got.Remaining)
		}
		if left := r.rejected(in); !slices.Equal(left, ids[len(got.Done):]) {
			t.Errorf("left are %v, and delivered %v", left, got.Done)
		}
	})
}

// A caller that goes away, and a deletion while it works, end a retry of all.
func TestRetryOfAllEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, in, _ := rejecting(t, 30)
		r.answer(takes(time.Second, delivered))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(1500*time.Millisecond, cancel)
		got, err := r.rejects.RetryAll(ctx, tenant, in.ID, nil)
		if err != nil || got.Remaining == 0 || len(r.rejected(in)) != 30-len(got.Done) {
			t.Errorf("a caller that is gone: %+v, %v; left %d", got, err, len(r.rejected(in)))
		}
		time.AfterFunc(1500*time.Millisecond, func() { _ = r.life.Delete(context.Background(), tenant, in.ID) })
		got, err = r.rejects.RetryAll(t.Context(), tenant, in.ID, nil)
		gone := slices.ContainsFunc(got.Failed, func(f rejected.BulkFailure) bool { return f.Cause == string(problem.NotFound) })
		if err != nil || !gone {
			t.Errorf("a deletion: %+v, %v", got, err)
		}
		if _, err := r.rejects.RetryAll(t.Context(), tenant, in.ID, nil); problem.CodeOf(err) != problem.NotFound {
			t.Errorf("after it: %v", err)
		}
	})
}

func TestDeletionOfSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, in, _ := rejecting(t, 30)
		ids := r.rejected(in)
		got, err := r.rejects.DeleteAll(t.Context(), tenant, in.ID, []string{ids[0], "unknown", ids[7]})
		if err != nil || !slices.Equal(got.Done, []string{ids[0], ids[7]}) || !slices.Equal(got.Failed, []rejected.BulkFailure{{EventID: "unknown", Cause: "not_found"}}) {
			t.Errorf("%+v, %v", got, err)
		}
		if left := r.rejected(in); len(left) != 28 || slices.Contains(left, ids[7]) {
			t.Errorf("left are %v", left)
		}
		got, err = r.rejects.DeleteAll(t.Context(), tenant, in.ID, nil)
		if err != nil || len(got.Done) != 28 || len(r.rejected(in)) != 0 {
			t.Errorf("%+v, %v; left %v", got, err, r.rejected(in))
		}
		if _, err := r.rejects.Get(t.Context(), tenant, in.ID, ids[1]); problem.CodeOf(err) != problem.NotFound {
			t.Errorf("a deleted event is still there: %v", err)
		}
	})
}

// byHand marks the calls of a retry by hand, which works while an integration is stopped.
type byHand struct{}

// sentByHand is a receiver's part of a retry by hand.
func (h *hook) sentByHand(ctx context.Context, e *event.Event) sink.Verdict {
	w := h.p.w
	d := w.dice("by hand", lifeName(h.in)+" "+e.ID)
	if err := h.p.sleep(ctx, 2*w.latency(d)); err != nil {
		return sink.Verdict{Outcome: sink.Interrupted}
	}
	if d.IntN(2) == 0 && !w.quietTime() {
		return sink.Verdict{Outcome: sink.Retry, Status: 503, Reason: "busy"}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.receipt(h.in, e.ID).byHand++
	return sink.Verdict{Outcome: sink.Delivered, Status: 200}
}

// retryAll retries the rejected events of an integration, and checks what it is told.
func (w *world) retryAll(tenant, id string) {
	w.user(func(p *process) error {
		w.mu.Lock()
		l := w.lives[lifeKey{tenant, id}]
		hook := l != nil && l.in.S3 == nil
		w.mu.Unlock()
		if !hook {
			return nil
		}
		got, err := p.rejects.RetryAll(context.WithValue(context.Background(), byHand{}, true), tenant, id, nil)
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, eventID := range got.Done {
			if now := w.lives[lifeKey{tenant, id}]; now == l && w.receipt(l.in, eventID).byHand == 0 {
				w.fail("by hand: %s was told to be delivered to %s, and has not arrived", eventID, lifeName(l.in))
			}
		}
		return err
	})
}
