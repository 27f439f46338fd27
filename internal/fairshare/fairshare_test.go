package fairshare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

// model says who must have a place, by looking at everything each time.
type model struct {
	size    int
	held    map[string]int
	waiting []*client // in the order of their turns
}

// client holds a place, waits for one, or is gone.
type client struct {
	tenant  string
	waiter  Waiter
	granted bool
}

func (m *model) free() int {
	n := m.size
	for _, held := range m.held {
		n -= held
	}
	return n
}

// next returns the index of the client that gets the next place, -1 for none.
func (m *model) next(turns []string) int {
	best := -1
	for i, c := range m.waiting {
		if m.held[c.tenant] >= m.free() || slices.ContainsFunc(m.waiting[:i], func(o *client) bool { return o.tenant == c.tenant }) {
			continue
		}
		if best < 0 || m.less(turns, c.tenant, m.waiting[best].tenant) {
			best = i
		}
	}
	return best
}

func (m *model) less(turns []string, a, b string) bool {
	if m.held[a] != m.held[b] {
		return m.held[a] < m.held[b]
	}
	return slices.Index(turns, a) < slices.Index(turns, b)
}

// Whatever tenants take, give back and cancel: there are never more places taken than
// there are, a free place goes to the tenant that holds the fewest and has waited
// longest for its turn, and nobody waits for a place that it could have.
func TestPlacesGoToWhoHoldsTheFewest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{size: rapid.IntRange(1, 9).Draw(t, "size"), held: map[string]int{}}
		l := New(m.size)
		var holders []*client
		var turns []string // tenants that wait, whose turn is longest ago first
		drop := func(tenant string) {
			turns = slices.DeleteFunc(turns, func(o string) bool { return o == tenant })
		}
		waits := func(tenant string) bool {
			return slices.ContainsFunc(m.waiting, func(c *client) bool { return c.tenant == tenant })
		}
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				c := &client{tenant: rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "tenant")}
				c.waiter.Granted = func() { c.granted = true }
				want := m.held[c.tenant] < m.free()
				if got := l.Take(c.tenant, &c.waiter); got != want {
					t.Fatalf("Take(%s) = %v with %v held of %d", c.tenant, got, m.held, m.size)
				}
				if want {
					m.held[c.tenant]++
					holders = append(holders, c)
					return
				}
				if !waits(c.tenant) {
					turns = append(turns, c.tenant)
				}
				m.waiting = append(m.waiting, c)
			},
			"give": func(t *rapid.T) {
				if len(holders) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(holders)-1).Draw(t, "holder")
				tenant := holders[i].tenant
				holders = slices.Delete(holders, i, i+1)
				m.held[tenant]--
				l.Give(tenant)
				for i := m.next(turns); i >= 0; i = m.next(turns) {
					c := m.waiting[i]
					if !c.granted {
						t.Fatalf("%s has no place; held %v of %d", c.tenant, m.held, m.size)
					}
					m.waiting = slices.Delete(m.waiting, i, i+1)
					m.held[c.tenant]++
					holders = append(holders, c)
					if drop(c.tenant); waits(c.tenant) {
						turns = append(turns, c.tenant)
					}
				}
			},
			"cancel": func(t *rapid.T) {
				if len(m.waiting) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(m.waiting)-1).Draw(t, "waiter")
				c := m.waiting[i]
				m.waiting = slices.Delete(m.waiting, i, i+1)
				if !waits(c.tenant) {
					drop(c.tenant)
				}
				if !l.Cancel(&c.waiter) || l.Cancel(&c.waiter) {
					t.Fatal("a waiter is cancelled once")
				}
			},
			"": func(t *rapid.T) {
				if m.free() < 0 || l.Held() != m.size-m.free() || l.Waiting() != len(m.waiting) {
					t.Fatalf("%d held, %d waiting; want %d and %d", l.Held(), l.Waiting(), m.size-m.free(), len(m.waiting))
				}
				for _, c := range m.waiting {
					if c.granted {
						t.Fatalf("%s got a place before its turn; held %v of %d", c.tenant, m.held, m.size)
					}
				}
			},
		})
		for len(holders) > 0 { // no waiter starves
			c := holders[0]
			holders = holders[1:]
			l.Give(c.tenant)
			for i := 0; i < len(m.waiting); i++ {
				if m.waiting[i].granted {
					holders = append(holders, m.waiting[i])
					m.waiting = slices.Delete(m.waiting, i, i+1)
					i--
				}
			}
		}
		if len(m.waiting) > 0 || l.Held() != 0 || len(l.shares) != 0 {
			t.Fatalf("%d wait, %d held, %d tenants are remembered, after all gave back what they had", len(m.waiting), l.Held(), len(l.shares))
		}
	})
}

// Tenants that never give back what they have leave room for the next.
func TestALaterTenantFindsAPlace(t *testing.T) {
	l := New(100)
	var got []int
	for i := range 5 {
		n := 0
		for l.Take(fmt.Sprint(i), nil) {
			n++
		}
		got = append(got, n)
	}
	if want := []int{50, 25, 13, 6, 3}; !slices.Equal(got, want) {
		t.Errorf("five tenants hold %v of 100 places, want %v", got, want)
	}
}

// A wait ends with its context, and leaves no place taken.
func TestAcquireEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(1)
		if err := l.Acquire(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { synctest.Wait(); cancel(gone) }()
		if err := l.Acquire(ctx, "b"); !errors.Is(err, gone) {
			t.Errorf("Acquire = %v, want the cause of its context", err)
		}
		l.Give("a")
		if l.Held() != 0 || l.Waiting() != 0 {
			t.Errorf("%d held and %d waiting, want none", l.Held(), l.Waiting())
		}
	})
}

// ending is a context that has ended, and does something as it is asked.
type ending struct {
	context.Context
	asked func()
}

func (e ending) Done() <-chan struct{} {
	e.asked()
	return e.Context.Done()
}

// A wait that ends at the moment its place comes either has the place or gives it back.
func TestPlaceThatComesAsTheWaitEndsIsNotLost(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 64 { // the select takes either, by chance
		l := New(1)
		l.Take("a", nil)
		held := 0
		if l.Acquire(ending{ended, func() { l.Give("a") }}, "b") == nil {
			held = 1
		}
		if l.Held() != held || l.Waiting() != 0 {
			t.Fatalf("%d places are held and %d wait, want %d and none", l.Held(), l.Waiting(), held)
		}
	}
}

// A tenant that got a place goes behind another one that holds fewer.
func TestNextPlaceGoesToAnotherTenant(t *testing.T) {
	l := New(2)
	var order []string
	wait := func(tenant string) {
		l.Take(tenant, &Waiter{Granted: func() { order = append(order, tenant) }})
	}
	l.Take("x", nil)
	l.Take("y", nil)
	wait("b")
	wait("b")
	wait("c")
	l.Give("x")
	l.Give("y")
	if want := []string{"b", "c"}; !slices.Equal(order, want) {
		t.Errorf("places went to %v, want %v", order, want)
	}
}

// Many goroutines take, wait, cancel and give back: no place is lost or given twice.
func TestLimiterIsSafeForConcurrentUse(t *testing.T) {
	const size = 5
	l := New(size)
	var held atomic.Int64
	var all sync.WaitGroup
	for i := range 40 {
		tenant := fmt.Sprint(i % 7)
		all.Go(func() {
			for n := range 200 {
				ctx, cancel := context.WithCancel(context.Background())
				if n%3 == 0 {
					go cancel()
				}
				if l.Acquire(ctx, tenant) == nil {
					if held.Add(1) > size {
						t.Error("more places are taken than there are")
					}
					held.Add(-1)
					l.Give(tenant)
				}
				cancel()
			}
		})
	}
	all.Wait()
	if l.Held() != 0 || l.Waiting() != 0 || len(l.shares) != 0 {
		t.Errorf("%d held, %d waiting, %d tenants; want none", l.Held(), l.Waiting(), len(l.shares))
	}
}

// A nil Limiter has no bound.
func TestNilLimiterHasNoBound(t *testing.T) {
	var l *Limiter
	for range 1000 {
		if !l.Take("a", nil) {
			t.Fatal("no place")
		}
	}
	l.Give("a")
	if l.Acquire(t.Context(), "a") != nil || l.Waiting() != 0 || l.Held() != 0 || l.Cancel(&Waiter{}) {
		t.Error("a nil Limiter counts")
	}
}
