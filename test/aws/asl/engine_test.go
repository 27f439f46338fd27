package asl_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/test/aws/asl"
)

var down = delivery.Verdict{Outcome: delivery.Retry, Status: 503, Reason: "The receiver is down."}

// What was published while a receiver was down for three days arrives. One
// execution waits all the time, renewed now and then, and the sweep has nothing
// to do.
func TestReceiverDownForDays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.register()
		w.publish(5)
		time.Sleep(time.Minute)
		w.wantAll(1)
		up := time.Now().Add(3 * 24 * time.Hour)
		w.set(func() {
			w.answer = func() delivery.Verdict {
				if time.Now().Before(up) {
					return down
				}
				return delivery.Verdict{Outcome: delivery.Delivered}
			}
		})
		for time.Now().Before(up) {
			w.publish(3)
			time.Sleep(6 * time.Hour)
		}
		time.Sleep(10 * time.Minute)
		w.publish(2)
		time.Sleep(time.Minute)
		w.wantAll(1)
		n := w.statuses()
		if n[asl.Succeeded] < 3*24*60/5/limit || n[asl.Failed] > 0 {
			t.Errorf("executions %v", n)
		}
		if w.most > 1 || w.overdue > 0 {
			t.Errorf("%d executions at once, %d times overdue", w.most, w.overdue)
		}
		for _, x := range executions(t, w.service) {
			if x.Events > 1+limit*9+8 {
				t.Errorf("the history of %s has %d events", x.Name, x.Events)
			}
		}
	})
}

// A function that is killed after it sent events, and before it wrote that it
// did, is followed by another when its lease ends; no sweep is needed.
func TestKilledInMidStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.register()
		w.set(func() { w.answer = func() delivery.Verdict { return down } })
		w.publish(4)
		time.Sleep(10 * time.Second)
		w.set(func() {
			w.answer = func() delivery.Verdict { return delivery.Verdict{Outcome: delivery.Delivered} }
			w.kill = true
		})
		killed := waitFor(t, time.Minute, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return !w.kill })
		c, err := w.records.Cursor(w.ctx, handoff.Key{Tenant: tenant, Integration: "orders"})
		if err != nil || c.State != handoff.Driven || !c.DueAt.After(time.Now()) {
			t.Fatalf("it is not leased: %+v, %v", c, err)
		}
		joined := waitFor(t, time.Hour, func() bool {
			c, err := w.records.Cursor(w.ctx, handoff.Key{Tenant: tenant, Integration: "orders"})
			return err == nil && c.State == handoff.Following
		})
		// The lease, the margin of the shadow, and one pause of a retry.
		if took, most := joined.Sub(killed), c.DueAt.Sub(killed)+10*time.Second; took > most || joined.Before(c.DueAt) {
			t.Errorf("taken over after %v, want within %v of a lease until %v", took, most, c.DueAt.Sub(killed))
		}
		time.Sleep(time.Minute)
		w.wantAll(2)
		if w.overdue > 0 || w.statuses()[asl.Failed] > 0 {
			t.Errorf("%d times overdue, executions %v", w.overdue, w.statuses())
		}
	})
}

// While the function fails, executions give up, the sweep starts others, and
// there are never many of them. When it is repaired everything arrives, and one
// execution is left where there is still something to drive.
func TestSweepRestartsAfterFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.register()
		w.set(func() {
			w.answer = func() delivery.Verdict { return down }
			w.fault = func() error { return errors.New("The release is broken.") }
		})
		w.publish(4)
		time.Sleep(6 * time.Hour)
		if n := w.statuses(); n[asl.Failed] < 6 || n[asl.Running] < 1 {
			t.Errorf("while the function fails: executions %v", n)
		}
		w.set(func() { w.fault = func() error { return nil } })
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if n := running(t, w.service); n != 1 {
			t.Errorf("%d executions run, want one while the receiver is down", n)
		}
		if w.most > 10 {
			t.Errorf("%d executions at once", w.most)
		}
		w.set(func() { w.answer = func() delivery.Verdict { return delivery.Verdict{Outcome: delivery.Delivered} } })
		time.Sleep(20 * time.Minute)
		w.wantAll(1)
	})
}

// waitFor returns when it first holds, looking every 100 ms.
func waitFor(t *testing.T, most time.Duration, holds func() bool) time.Time {
	t.Helper()
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if holds() {
			return time.Now()
		}
	}
	t.Fatalf("it does not hold within %v", most)
	return time.Time{}
}
