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

// troubledLog is a log whose reads fail while err is set.
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

// trouble puts a troubledLog in front of the rig's log.
func (r *rig) trouble() *troubledLog {
	l := &troubledLog{Log: r.engine.Log}
	r.engine.Log = l
	return l
}

// appended publishes events without telling the live loop, and returns the end.
func (r *rig) appended(n int) uint64 {
	r.t.Helper()
	for range n {
		r.next++
		draft := event.Draft{ID: fmt.Sprintf("f%06d", r.next), Name: "order.created", Payload: []byte(`{}`)}
		if err := r.w.log.Publish(context.Background(), tenant, event.Lanes{Each: 1}, []event.Draft{draft}); err != nil {
			r.t.Fatal(err)
		}
	}
	end, err := r.w.log.End(context.Background(), partition)
	if err != nil {
		r.t.Fatal(err)
	}
	return end
}

var partition = event.Partition{Tenant: tenant}

// DeliverLive returns an error if its context ends before the low watermark reaches
// the end: with a stream, only a redelivery goes on from there.
func TestDeliverLiveThatEndsEarlyReturnsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		r.engine.Grace = 0
		log := r.trouble()
		r.register(hookSpec("a"))
		time.Sleep(time.Second)
		end := r.appended(1)
		log.err.Store(problem.New(problem.Unavailable, "slow down"))
		ctx, cancel := context.WithTimeout(context.Background(), 5500*time.Millisecond)
		defer cancel()
		if err := r.engine.DeliverLive(ctx, partition, delivery.FixedLogEnd(end)); problem.CodeOf(err) != problem.Unavailable {
			t.Errorf("DeliverLive: got %v, want problem.Unavailable, as no subscriber has the segment", err)
		}
		log.err.Store(nil)
		if err := r.engine.DeliverLive(context.Background(), partition, delivery.FixedLogEnd(end)); err != nil || len(r.got()) != 1 {
			t.Errorf("DeliverLive once the log can be read: %v, and %d calls", err, len(r.got()))
		}
	})
}

// With a fixed end, the next batch waits for the slowest subscriber, even if it is
// the only one of its partition.
func TestAFixedEndIsNotBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, true, nil)
		r.engine.Grace = 0
		r.register(hookSpec("a"))
		time.Sleep(time.Second)
		r.answer(takes(4500*time.Millisecond, delivered))
		end := r.appended(13)
		started := time.Now()
		if err := r.engine.DeliverLive(context.Background(), partition, delivery.FixedLogEnd(end)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(started); took > r.engine.Settings.FollowBudget/4 {
			t.Errorf("the batch was blocked for %v", took)
		}
		if c := r.cursor("a"); c.Slowness != 1 {
			t.Errorf("the subscriber left with Slowness %d", c.Slowness)
		}
		time.Sleep(time.Hour)
		if n := len(times(r.got())); n != 13 {
			t.Errorf("%d of 13 events arrived", n)
		}
	})
}

// A segment that can never be read stops only the integrations before it.
func TestAnUnreadableSegmentStopsOnlyThoseBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		r.engine.Grace = 0
		log := r.trouble()
		r.register(hookSpec("a"))
		time.Sleep(time.Second)
		end := r.appended(1)
		log.err.Store(problem.New(problem.Internal, "damaged"))
		if err := r.engine.DeliverLive(context.Background(), partition, delivery.FixedLogEnd(end)); err != nil {
			t.Errorf("DeliverLive: %v; the batch would be redelivered for a day", err)
		}
		if c := r.cursor("a"); c.Offset.Segment != end-1 || c.DueAt.IsZero() {
			t.Errorf("the cursor is at %v, due %v; want it scheduled before the segment", c.Offset, c.DueAt)
		}
		log.err.Store(nil)
		time.Sleep(time.Hour)
	})
}

// A sink that is temporarily unavailable affects only its own integration.
func TestASinkThatIsTemporarilyUnavailable(t *testing.T) {
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
				return problem.New(problem.Unavailable, "the key is unavailable")
			}
			return nil
		}
		r.publish(1)
		time.Sleep(10 * time.Second)
		if n := len(r.got()); n != 1 {
			t.Errorf("%d calls while one of two sinks cannot be opened, want 1", n)
		}
		locked.Store(false)
		time.Sleep(time.Hour)
		if n := len(r.got()); n != 2 {
			t.Errorf("%d calls finally, want 2", n)
		}
	})
}
