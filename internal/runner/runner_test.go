package runner

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/delivery"
	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/handoff"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/settings"
	"github.com/sluicehq/sluice/internal/store"
)

// slowStore is a store without cursors that takes a second to say so.
type slowStore struct {
	store.Store
	reads, under, most atomic.Int32
	mu                 sync.Mutex
	seen               map[handoff.Key]int
	order              []string      // tenants
	takes              time.Duration // a read; 0 for a second
}

func (s *slowStore) Cursor(ctx context.Context, k handoff.Key) (*handoff.Cursor, error) {
	s.reads.Add(1)
	if n := s.under.Add(1); n > s.most.Load() {
		s.most.Store(n)
	}
	defer s.under.Add(-1)
	s.mu.Lock()
	s.seen[k]++
	s.order = append(s.order, k.Tenant)
	s.mu.Unlock()
	select {
	case <-time.After(cmp.Or(s.takes, time.Second)):
		return nil, problem.New(problem.NotFound, "gone")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// running returns a runner over the store with so many places of each kind.
func running(s store.Store, size int) (*Scheduler, *Runner) {
	p := &Places{}
	for kind := range p.Steps {
		p.Steps[kind] = fairshare.New(size)
	}
	return runningIn(s, p)
}

func runningIn(s store.Store, p *Places) (*Scheduler, *Runner) {
	engine := &delivery.Engine{Store: s, Settings: settings.Default(), Logger: slog.New(slog.DiscardHandler), Now: time.Now}
	schedule := NewScheduler()
	return schedule, Start(engine, schedule, p, slog.New(slog.DiscardHandler))
}

// However many cursors are due at once, as after a restart, only so many are advanced at
// a time, the others cost no goroutine, and none is forgotten. A tenant that comes later
// with one does not wait for them.
func TestDueCursorsAreAdvancedInTheirPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const due, places = 1000, 10
		s := &slowStore{seen: map[handoff.Key]int{}}
		schedule, r := running(s, places)
		before := runtime.NumGoroutine()
		for i := range due {
			schedule.Schedule(handoff.Key{Tenant: fmt.Sprint(i % 4), Integration: fmt.Sprint(i)})
		}
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > 2*places {
			t.Errorf("%d goroutines for %d cursors, want only those of %d places", n, due, places)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		seen := len(s.order)
		schedule.Schedule(handoff.Key{Tenant: "late", Integration: "one"})
		time.Sleep(2 * time.Second)
		s.mu.Lock()
		came := false
		for _, tenant := range s.order[seen:] {
			came = came || tenant == "late"
		}
		s.mu.Unlock()
		if !came {
			t.Error("a tenant with one cursor waits for those with hundreds")
		}
		time.Sleep(due * time.Second)
		synctest.Wait()
		if len(s.seen) != due+1 || s.most.Load() > places {
			t.Errorf("%d cursors were advanced, up to %d at a time; want %d and %d", len(s.seen), s.most.Load(), due+1, places)
		}
		if len(schedule.cursors) != 0 {
			t.Errorf("%d cursors are kept with nothing to do", len(schedule.cursors))
		}
		r.Stop()
	})
}

// A cursor that changes while it waits for a place or is advanced is advanced once more.
func TestChangedCursorIsAdvancedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowStore{seen: map[handoff.Key]int{}}
		schedule, r := running(s, 1)
		first, second := handoff.Key{Tenant: "acme", Integration: "first"}, handoff.Key{Tenant: "acme", Integration: "second"}
		schedule.Schedule(first)
		time.Sleep(time.Second / 2)
		schedule.Schedule(second) // waits
		schedule.Schedule(first, second)
		time.Sleep(time.Minute)
		synctest.Wait()
		if s.seen[first] != 2 || s.seen[second] != 1 {
			t.Errorf("advanced %v; want the first once more, and the second, which had not begun, once", s.seen)
		}
		r.Stop()
	})
}

// A shutdown waits for no place, and starts nothing of what waits.
func TestShutdownEndsTheWaitForPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slowStore{seen: map[handoff.Key]int{}}
		schedule, r := running(s, 2)
		for i := range 100 {
			schedule.Schedule(handoff.Key{Tenant: "acme", Integration: fmt.Sprint(i)})
		}
		synctest.Wait()
		began := s.reads.Load()
		at := time.Now()
		r.Stop()
		if took := time.Since(at); took > time.Second || s.reads.Load() != began {
			t.Errorf("the end took %v, and %d steps began after it", took, s.reads.Load()-began)
		}
	})
}
