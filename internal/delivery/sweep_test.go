package delivery_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
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

// overdue is a store with nothing but cursors that are overdue until a step has been started
// for them, and for a while longer: the due index is behind.
type overdue struct {
	store.Store
	mu      sync.Mutex
	left    []handoff.Key
	started map[handoff.Key]int
}

func (o *overdue) Due(ctx context.Context, _ time.Time, limit int) ([]handoff.Key, error) {
	if ctx.Err() != nil {
		return nil, problem.Wrap(ctx.Err(), problem.Unavailable, "too late")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.left[:min(limit, len(o.left))]), nil
}

// start starts one after another, 150 in a second, as Step Functions lets an account.
func (o *overdue) start(keys ...handoff.Key) {
	for _, k := range keys {
		time.Sleep(time.Second / 150)
		o.mu.Lock()
		o.started[k]++
		o.mu.Unlock()
		time.AfterFunc(5*time.Second, func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			if len(o.left) > 0 && o.left[0] == k { // nearly always, and a deletion there moves all
				o.left = o.left[1:]
			} else if i := slices.Index(o.left, k); i >= 0 {
				o.left = slices.Delete(o.left, i, i+1)
			}
		})
	}
}

// After an outage with 50,000 overdue cursors, a sweep goes on until its time is used up,
// starts none twice, and ends in time; the next one does the rest.
func TestASweepGoesOnUntilItsTimeIsUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const cursors, every, allowed = 50_000, 5 * time.Minute, 230 * time.Second
		o := &overdue{started: map[handoff.Key]int{}}
		for i := range cursors {
			o.left = append(o.left, handoff.Key{Tenant: "acme", Integration: fmt.Sprint(i)})
		}
		e := &delivery.Engine{Store: o, Settings: settings.Default(), Now: time.Now, Schedule: o.start}
		sweeps := 0
		for ; len(o.started) < cursors && sweeps < 5; sweeps++ {
			began, before := time.Now(), len(o.started)
			ctx, cancel := context.WithTimeout(t.Context(), allowed)
			n, err := e.Sweep(ctx)
			cancel()
			if err != nil || n < len(o.started)-before {
				t.Errorf("it found %d, %v, and started %d", n, err, len(o.started)-before)
			}
			if took := time.Since(began); took > allowed+10*time.Second {
				t.Errorf("it took %v of %v", took, allowed)
			}
			time.Sleep(every - time.Since(began))
		}
		if sweeps != 2 {
			t.Errorf("%d of %d cursors were started by %d sweeps, want all by two", len(o.started), cursors, sweeps)
		}
		for k, n := range o.started {
			if n != 1 {
				t.Fatalf("%v was started %d times", k, n)
			}
		}
	})
}

// A sweep that finds only what it has found before ends: those are stuck, or were started
// without waiting for it.
func TestASweepEnds(t *testing.T) {
	o := &overdue{left: []handoff.Key{{Tenant: "acme", Integration: "stuck"}}}
	scheduled := 0
	e := &delivery.Engine{Store: o, Settings: settings.Default(), Now: time.Now, Schedule: func(keys ...handoff.Key) { scheduled += len(keys) }}
	if n, err := e.Sweep(t.Context()); n != 1 || err != nil || scheduled != 1 {
		t.Errorf("it found %d, %v, and scheduled %d, want 1", n, err, scheduled)
	}
}

// slowDue is a store with another overdue cursor for each read. The second read outlasts
// the sweep's time.
type slowDue struct {
	store.Store
	reads int
}

func (s *slowDue) Due(ctx context.Context, _ time.Time, _ int) ([]handoff.Key, error) {
	if s.reads++; s.reads > 1 {
		<-ctx.Done()
		return nil, problem.Wrap(ctx.Err(), problem.Unavailable, "too late")
	}
	return []handoff.Key{{Tenant: "acme", Integration: "orders"}}, nil
}

// A sweep whose time is used up while it reads on has not failed: it would be made again,
// beside the next one, and an alarm would say so. One that could read nothing has failed.
func TestASweepWhoseTimeEndsInAReadHasNotFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowDue{}
		e := &delivery.Engine{Store: s, Settings: settings.Default(), Now: time.Now, Schedule: func(...handoff.Key) {}}
		sweep := func() (int, error) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			return e.Sweep(ctx)
		}
		if n, err := sweep(); n != 1 || err != nil {
			t.Errorf("it found %d, %v; want 1 and no error", n, err)
		}
		if n, err := sweep(); n != 0 || err == nil {
			t.Errorf("without a first read it found %d, %v; want an error", n, err)
		}
	})
}
