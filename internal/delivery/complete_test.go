package delivery_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/store"
)

// tardy is a store that takes long over some calls.
type tardy struct {
	store.Store
	leave atomic.Int64 // ns before the next commit that takes an integration out of the live set
	lost  atomic.Bool  // the response to that commit is lost
	state atomic.Int64 // ns after the next read of a partition's state
}

func (s *tardy) Commit(ctx context.Context, writes ...store.Write) error {
	for _, w := range writes {
		if c, ok := w.(store.PutCursor); ok && c.Cursor.State == handoff.Scheduled && !c.Cursor.LeftAt.IsZero() {
			time.Sleep(time.Duration(s.leave.Swap(0)))
			if err := s.Store.Commit(ctx, writes...); err != nil || !s.lost.Swap(false) {
				return err
			}
			return problem.New(problem.Unavailable, "lost")
		}
	}
	return s.Store.Commit(ctx, writes...)
}

func (s *tardy) Partition(ctx context.Context, p event.Partition) (*handoff.PartitionState, error) {
	state, err := s.Store.Partition(ctx, p)
	time.Sleep(time.Duration(s.state.Swap(0)))
	return state, err
}

// liveReplay returns a rig with a live replay that ends in ten seconds, over a tardy store:
// that of a node, or of one host of several.
func liveReplay(t *testing.T, node bool) (*rig, *tardy) {
	r := newRig(t, false, nil)
	if !node {
		r.engine.SoleOwner, r.life.Quiesce = nil, nil
	}
	slow := &tardy{Store: r.engine.Store}
	r.engine.Store = slow
	r.register(replay(hookSpec("a"), time.Now(), time.Now().Add(10*time.Second)))
	time.Sleep(9 * time.Second)
	if c := r.cursor("a"); c.State != handoff.Live {
		t.Fatalf("it is not live: %+v", c)
	}
	return r, slow
}

// notice tells live delivery of what the log has.
func (r *rig) notice() {
	r.t.Helper()
	p := event.Partition{Tenant: tenant}
	end, err := r.w.log.End(context.Background(), p)
	if err != nil {
		r.t.Fatal(err)
	}
	r.grow(p, end)
}

// awaited is a receiver whose first two calls take two seconds. When they arrive the replay
// must be stopping; the others, to the step that completes it, take no time.
func awaited(r *rig) func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict {
	var calls atomic.Int32
	return func(context.Context, *integration.Integration, *event.Event, int) sink.Verdict {
		if calls.Add(1) > 2 {
			return delivered
		}
		time.Sleep(2 * time.Second)
		if s := r.status("a"); s != integration.Stopping {
			r.t.Errorf("an event arrives while the replay is %s", s)
		}
		return delivered
	}
}

// While the commit that takes a replay out of the live set takes long, live delivery goes on
// starting calls. The replay is not stopped before they have ended.
func TestAReplayAwaitsLiveDeliveryAfterASlowCommit(t *testing.T) {
	for _, node := range []bool{true, false} {
		for _, lost := range []bool{false, true} { // then the next step completes the replay
			t.Run(fmt.Sprintf("node %t, response lost %t", node, lost), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r, slow := liveReplay(t, node)
					slow.leave.Store(int64(20 * time.Second))
					slow.lost.Store(lost)
					r.answer(awaited(r))
					r.unseen(1, "order.created")
					time.Sleep(20900 * time.Millisecond) // the commit has a tenth of a second to go
					r.notice()
					time.Sleep(time.Minute)
					if n := len(r.got()); n != 4 || r.status("a") != integration.Stopped {
						t.Errorf("%d calls, want 4; finally it is %s", n, r.status("a"))
					}
				})
			})
		}
	}
}

// A replay that was stopped and started again, and completes at once, is not stopped before
// the calls that it had in flight at the stop have ended.
func TestARestartedReplayAwaitsItsEarlierCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := liveReplay(t, false)
		r.answer(awaited(r))
		r.unseen(1, "order.created")
		r.notice()
		time.Sleep(500 * time.Millisecond)
		if _, err := r.life.Stop(t.Context(), tenant, "a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // its end has passed
		if _, err := r.life.Start(t.Context(), tenant, "a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := len(r.got()); n != 4 || r.status("a") != integration.Stopped {
			t.Errorf("%d calls, want 4; finally it is %s", n, r.status("a"))
		}
	})
}

// On a node, live delivery that has read a partition's state starts nothing for a replay
// that was reported as stopped meanwhile.
func TestACompleteReplayDoesNotBeginAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, slow := liveReplay(t, true)
		r.unseen(1, "order.created")
		slow.state.Store(int64(3 * time.Second))
		r.notice()
		time.Sleep(2 * time.Second)
		if n := len(r.got()); n != 2 || r.status("a") != integration.Stopped {
			t.Fatalf("after %d calls the replay is %s", n, r.status("a"))
		}
		time.Sleep(time.Minute)
		if n := len(r.got()); n != 2 {
			t.Errorf("%d calls, %d of them after it was stopped", n, n-2)
		}
	})
}
