package delivery_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
)

// troubledLog is a log that cannot be read while it has an error.
type troubledLog struct {
	eventlog.Log
	err atomic.Pointer[problem.Error]
}

func (l *troubledLog) Read(ctx context.Context, p event.Partition, after uint64, maxBytes int) ([]eventlog.Segment, error) {
	if err := l.err.Load(); err != nil {
		return nil, err
	}
	return l.Log.Read(ctx, p, after, maxBytes)
}

// trouble puts a troubledLog before the rig's log.
func (r *rig) trouble() *troubledLog {
	l := &troubledLog{Log: r.engine.Log}
	r.engine.Log = l
	return l
}

// appended publishes events that nobody follows yet, and returns the head.
func (r *rig) appended(n int) uint64 {
	r.t.Helper()
	for range n {
		r.next++
		draft := event.Draft{ID: fmt.Sprintf("f%06d", r.next), Name: "order.created", Payload: []byte(`{}`)}
		if err := r.w.log.Publish(context.Background(), tenant, 1, []event.Draft{draft}); err != nil {
			r.t.Fatal(err)
		}
	}
	head, err := r.w.log.End(context.Background(), partition)
	if err != nil {
		r.t.Fatal(err)
	}
	return head
}

var partition = event.Partition{Tenant: tenant}

// A Follow that ends with its context says so if somebody was left behind: on a
// stream nobody else would go on from the record.
func TestAFollowThatEndsEarlySaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		r.engine.Grace = 0
		log := r.trouble()
		r.register(hookSpec("a"))
		time.Sleep(time.Second)
		head := r.appended(1)
		log.err.Store(problem.New(problem.Unavailable, "slow down"))
		ctx, cancel := context.WithTimeout(context.Background(), 5500*time.Millisecond)
		defer cancel()
		if err := r.engine.DeliverLive(ctx, partition, delivery.FixedLogEnd(head)); problem.CodeOf(err) != problem.Unavailable {
			t.Errorf("Follow: got %v, want problem.Unavailable, as nobody has the segment", err)
		}
		log.err.Store(nil)
		if err := r.engine.DeliverLive(context.Background(), partition, delivery.FixedLogEnd(head)); err != nil || len(r.got()) != 1 {
			t.Errorf("Follow once the log can be read: %v, and %d calls", err, len(r.got()))
		}
	})
}

// What comes after a fixed tail waits for the slowest follower, be it the only
// one of its partition.
func TestAFixedTailIsNotHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		r.engine.Grace = 0
		r.register(hookSpec("a"))
		time.Sleep(time.Second)
		r.answer(takes(4500*time.Millisecond, delivered))
		head := r.appended(13)
		started := time.Now()
		if err := r.engine.DeliverLive(context.Background(), partition, delivery.FixedLogEnd(head)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(started); took > r.engine.Settings.FollowBudget/4 {
			t.Errorf("the batch was held up for %v", took)
		}
		if c := r.cursor("a"); c.Slowness != 1 {
			t.Errorf("the follower left with Slowness %d", c.Slowness)
		}
		time.Sleep(time.Hour)
		if n := len(times(r.got())); n != 13 {
			t.Errorf("%d of 13 events arrived", n)
		}
	})
}

// A segment that can never be read stops those who are before it, and nobody
// else.
func TestAnUnreadableSegmentStopsOnlyThoseBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		r.engine.Grace = 0
		log := r.trouble()
		r.register(hookSpec("a"))
		time.Sleep(time.Second)
		head := r.appended(1)
		log.err.Store(problem.New(problem.Internal, "it is damaged"))
		if err := r.engine.DeliverLive(context.Background(), partition, delivery.FixedLogEnd(head)); err != nil {
			t.Errorf("Follow: %v; the batch would be handed over again for a day", err)
		}
		if c := r.cursor("a"); c.Offset.Segment != head-1 || c.DueAt.IsZero() {
			t.Errorf("the follower is at %v, due %v; want it driven from before the segment", c.Offset, c.DueAt)
		}
		log.err.Store(nil)
		time.Sleep(time.Hour)
	})
}

// A sink that cannot be opened for now is the trouble of its integration alone.
func TestASinkThatCannotBeOpenedForNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		r.register(hookSpec("a"))
		r.register(hookSpec("b"))
		time.Sleep(time.Second)
		r = r.restart() // nothing is open
		var locked atomic.Bool
		locked.Store(true)
		r.open = func(in *integration.Integration) error {
			if locked.Load() && in.ID == "a" {
				return problem.New(problem.Unavailable, "the key cannot be reached")
			}
			return nil
		}
		r.publish(1)
		time.Sleep(10 * time.Second)
		if n := len(r.got()); n != 1 {
			t.Errorf("%d calls while one of two sinks cannot be opened, want the other's", n)
		}
		locked.Store(false)
		time.Sleep(time.Hour)
		if n := len(r.got()); n != 2 {
			t.Errorf("%d calls in the end, want 2", n)
		}
	})
}
