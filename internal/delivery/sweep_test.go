package delivery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
)

// A cursor with attempts that only the process knows is found by the sweep once it is
// overdue, if nothing advances it any more.
func TestTheSweepFindsAForgottenCursorThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := watchedDown(t, 3)
		time.Sleep(time.Millisecond)
		r.w.mu.Lock()
		r.w.lull, r.w.luck, r.w.LossRate = false, 1, 1000
		r.w.mu.Unlock()
		w.fails.Store(true) // its next step fails, and its scheduler forgets it
		time.Sleep(time.Minute)
		w.fails.Store(false)
		if n := len(r.got()); n != 3 {
			t.Fatalf("it was not forgotten: %d calls", n)
		}
		time.Sleep(delivery.QuietAfter(r.w.settings))
		if n, err := r.engine.Sweep(t.Context()); n != 1 || err != nil {
			t.Fatalf("the sweep found %d cursors, %v", n, err)
		}
		r.untilCalls(4)
	})
}

// The next process knows the back-offs too, although the due index has the cursors
// where they were before.
func TestTheSweepKnowsBackOffsOfAnEarlierProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := down(t, 2)
		r.answer(takes(0, asksFor(time.Hour)))
		r.untilCalls(3)
		next := r.restart()
		time.Sleep(delivery.QuietAfter(r.w.settings) + time.Minute)
		if n, err := next.engine.Sweep(t.Context()); n != 0 || err != nil {
			t.Errorf("it found %d overdue cursors, %v", n, err)
		}
	})
}
