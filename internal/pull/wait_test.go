package pull

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
)

func offset(segment uint64, index int) handoff.Offset {
	return handoff.Offset{Segment: segment, Index: index}
}

// waiting is a call that waits, and what it ended with.
type waiting struct {
	done chan struct{}
	page *Page
	err  error
	took time.Duration
}

func (w *world) wait(ctx context.Context, position string, d time.Duration) *waiting {
	c := &waiting{done: make(chan struct{})}
	began := time.Now()
	go func() {
		defer close(c.done)
		c.page, c.err = w.Pull(ctx, "acme", "shop", Query{Position: position, Limit: 10, Wait: d, Grow: roomy})
		c.took = time.Since(began)
	}()
	synctest.Wait()
	return c
}

func (c *waiting) ended() bool {
	synctest.Wait()
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// A call that waits is woken by a publish of its tenant that passes the filter, and looks
// at the log for no other reason.
func TestWaitEndsWithAPublishAndReadsNothingBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.integrations["acme/shop"].Filter.Names = []string{"order.created"}
		c := w.wait(t.Context(), Latest, MaxWait)
		time.Sleep(MaxWait / 2)
		if c.ended() || w.log.reads != 1 {
			t.Fatalf("ended: %v, after %d reads", c.ended(), w.log.reads)
		}
		w.publish(t, "evil", "order.created")
		if c.ended() || w.log.reads != 1 {
			t.Fatalf("another tenant's publish: ended: %v, after %d reads", c.ended(), w.log.reads)
		}
		w.publish(t, "acme", "order.paid")
		if c.ended() {
			t.Fatal("ended with an event that is filtered out")
		}
		id := w.publish(t, "acme", "order.created")
		if !c.ended() || c.err != nil {
			t.Fatalf("not woken: %v", c.err)
		}
		wantIDs(t, c.page, id...)
		if c.took != MaxWait/2 {
			t.Errorf("it took %v", c.took)
		}
	})
}

func TestWaitEndsWithoutEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.wait(t.Context(), "", 3*time.Second)
		<-c.done
		if c.err != nil || c.page.Events != 0 || !c.page.AtEnd || c.took != 3*time.Second {
			t.Errorf("%v, %v after %v", c.page, c.err, c.took)
		}
		id := w.publish(t, "acme", "order.created")
		wantIDs(t, w.pull(t, c.page.Next, 10), id...)
	})
}

// What is published between the look at the log and the wait must not be overlooked: the
// call joins those that wait before it looks.
func TestWaitMissesNoPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		woken, leave := w.Waiters.join("acme")
		id := w.publish(t, "acme", "order.created")
		select {
		case <-woken:
		default:
			t.Error("a publish after join woke nobody")
		}
		leave()
		c := w.wait(t.Context(), "", MaxWait)
		wantIDs(t, c.page, id...)
		if len(w.Waiters.waiting) > 0 {
			t.Errorf("after the last one left: %v", w.Waiters.waiting)
		}
	})
}

// A deletion wakes the call too, on a node. Elsewhere it is seen at the next look.
func TestDeletionEndsTheWait(t *testing.T) {
	for name, c := range map[string]struct {
		waiters *Waiters
		change  func(w *world)
	}{
		"woken, deleted":          {new(Waiters), func(w *world) { delete(w.integrations, "acme/shop") }},
		"woken, registered again": {new(Waiters), func(w *world) { w.integrations["acme/shop"].Incarnation++ }},
		"looking":                 {nil, func(w *world) { delete(w.integrations, "acme/shop") }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.Waiters = c.waiters
				call := w.wait(t.Context(), "", MaxWait)
				w.change(func() { c.change(w) })
				if w.Waiters != nil {
					w.Waiters.Wake("acme")
				}
				<-call.done
				if problem.CodeOf(call.err) != problem.NotFound || call.took > lastLook {
					t.Errorf("%v, %v after %v", call.page, call.err, call.took)
				}
			})
		})
	}
}

// Where nothing wakes a call, it looks at the log, a few times a wait.
func TestLooksAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.Waiters = nil
		w.publish(t, "acme", "order.created")
		next := w.pull(t, "", 10).Next
		w.log.reads, w.log.ends = 0, 0
		c := w.wait(t.Context(), next, MaxWait)
		<-c.done
		if w.log.reads > 14 || w.log.ends > 1 || c.took != MaxWait {
			t.Errorf("%d reads and %d looks at the end in %v", w.log.reads, w.log.ends, c.took)
		}
		c = w.wait(t.Context(), next, MaxWait)
		time.Sleep(time.Second)
		id := w.publish(t, "acme", "order.created")
		<-c.done
		wantIDs(t, c.page, id...)
		if c.took > time.Second+lastLook {
			t.Errorf("seen after %v", c.took)
		}
	})
}

// The deadline of a Lambda function must not cut off the response.
func TestWaitEndsBeforeTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for deadline, want := range map[time.Duration]time.Duration{29 * time.Second: MaxWait, 15 * time.Second: 10 * time.Second, time.Second: 0} {
			w := newWorld()
			w.Waiters = nil
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			c := w.wait(ctx, "", MaxWait)
			<-c.done
			cancel()
			if c.err != nil || c.took != want {
				t.Errorf("with %v left it waited for %v, want %v: %v", deadline, c.took, want, c.err)
			}
		}
	})
}

// A shutdown ends the waits, and those that begin later.
func TestCloseEndsTheWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		first := w.wait(t.Context(), "", MaxWait)
		w.Waiters.Close()
		second := w.wait(t.Context(), "", MaxWait)
		for _, c := range []*waiting{first, second} {
			if <-c.done; c.err != nil || c.took != 0 {
				t.Errorf("%v after %v", c.err, c.took)
			}
		}
		w.Waiters.Wake("acme")
	})
}

// Each wait has a connection. A tenant with many leaves some to the others.
func TestWaitsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.Waits = fairshare.New(4)
		w.wait(t.Context(), "", time.Minute)
		w.wait(t.Context(), "", time.Minute)
		if c := w.wait(t.Context(), "", time.Minute); problem.CodeOf(c.err) != problem.TooManyRequests {
			t.Errorf("the third of four waits of a tenant: %v", c.err)
		}
		if _, err := w.Pull(t.Context(), "evil", "shop", Query{Limit: 1, Wait: time.Second, Grow: roomy}); err != nil {
			t.Errorf("another tenant: %v", err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if w.Waits.Held() != 0 {
			t.Errorf("%d places are still held", w.Waits.Held())
		}
	})
}

// A caller that goes away leaves no waiter behind.
func TestCancelledCallLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		ctx, cancel := context.WithCancel(t.Context())
		c := w.wait(ctx, "", MaxWait)
		cancel()
		if <-c.done; c.took != 0 || len(w.Waiters.waiting) != 0 {
			t.Errorf("after %v: %v", c.took, w.Waiters.waiting)
		}
	})
}
