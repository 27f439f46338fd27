package node

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
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
func running(s store.Store, size int) (*scheduler, *runner) {
	p := &places{}
	for kind := range p.steps {
		p.steps[kind] = fairshare.New(size)
	}
	return runningIn(s, p)
}

func runningIn(s store.Store, p *places) (*scheduler, *runner) {
	engine := &delivery.Engine{Store: s, Settings: settings.Default(), Logger: slog.New(slog.DiscardHandler), Now: time.Now}
	schedule := newScheduler()
	return schedule, startRunner(engine, schedule, p, slog.New(slog.DiscardHandler))
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
		r.stop()
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
		r.stop()
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
		r.stop()
		if took := time.Since(at); took > time.Second || s.reads.Load() != began {
			t.Errorf("the end took %v, and %d steps began after it", took, s.reads.Load()-began)
		}
	})
}

// A stop and a delete of an integration whose catch-up waits for a place do not wait.
func TestStopDoesNotWaitForAPlace(t *testing.T) {
	n := openNodeWith(t, t.TempDir(), func(c *Config) { c.MaxCatchUps = 1 })
	defer closeNode(t, n)
	called := make(chan struct{}, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called <- struct{}{} }))
	defer receiver.Close()
	taken := n.places.steps[delivery.CatchUp]
	if err := taken.Acquire(t.Context(), "another"); err != nil {
		t.Fatal(err)
	}
	register(t, n, "hook", receiver.URL)
	if _, err := n.life.Stop(t.Context(), "acme", "hook"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.life.Start(t.Context(), "acme", "hook"); err != nil {
		t.Fatal(err)
	}
	if err := n.life.Delete(t.Context(), "acme", "hook"); err != nil {
		t.Fatal(err)
	}
	register(t, n, "hook", receiver.URL)
	publishTo(t, n, 1)
	select {
	case <-called:
		t.Fatal("it was called without a place")
	default:
	}
	taken.Give("another")
	<-called
}

// Calls never take the descriptors of clients and the database, whatever is set.
func TestCallsLeaveDescriptorsToOthers(t *testing.T) {
	for _, tt := range []struct{ setting, limit, want int }{
		{0, 1024, 341},
		{0, 1 << 20, 2048},
		{0, 20, 16},
		{500, 1024, 500},
		{500, 120, 60},
		{5000, 65536, 5000},
		{500, 1, 2},
	} {
		if got := boundCalls(tt.setting, tt.limit); got != tt.want {
			t.Errorf("SLUICE_MAX_CALLS=%d with %d descriptors: %d calls, want %d", tt.setting, tt.limit, got, tt.want)
		}
	}
}
