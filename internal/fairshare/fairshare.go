// Package fairshare shares what a process has little of between tenants: a Limiter a
// number of places, such as calls in flight, for which callers wait; a Pool an amount,
// such as bytes of memory, of which a caller that gets nothing is refused.
//
// A tenant gets another place while more are free than it holds. Alone it can have
// half of them; beside n others that want all they can get, one part of n+2. So a
// tenant that comes later finds a place free, and waits only where more tenants hold
// a place than there are places.
//
// Of the tenants that wait, the next free place goes to the one that holds the
// fewest, and of those to the one whose turn is longest ago. Within a tenant it goes
// to the first that asked.
package fairshare

import (
	"container/heap"
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// Limiter is a number of places. It is safe for concurrent use. A nil Limiter has
// no bound.
type Limiter struct {
	waiting atomic.Int64 // waiters; changed with mu held

	mu     sync.Mutex
	size   int
	free   int
	shares map[string]*share // of the tenants that hold a place or wait for one
	queue  queue             // the shares that wait
	turns  uint64            // handed out so far
}

// share is what one tenant has and wants.
type share struct {
	tenant  string
	held    int
	waiters []*Waiter // in order
	turn    uint64    // when it joined the queue, or last got a place in it
	index   int       // in the queue
}

// Waiter waits for one place at a time. Set Granted before its first use.
type Waiter struct {
	// Granted is called once the place that was waited for is taken. It may run in
	// any goroutine that gives a place back, and must not block.
	Granted func()

	share *share // where it waits; nil otherwise
}

// New returns a Limiter with size places, of which there must be at least one.
func New(size int) *Limiter {
	return &Limiter{size: size, free: size, shares: make(map[string]*share)}
}

// Take takes a place for the tenant and returns true, or returns false and lets w
// wait for one. A waiter that waits already keeps its turn. With a nil waiter
// nothing waits.
func (l *Limiter) Take(tenant string, w *Waiter) bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.shares[tenant]
	if s == nil {
		s = &share{tenant: tenant}
	}
	if s.held < l.free { // those that wait hold more, or they would have it
		l.shares[tenant] = s
		s.held++
		l.free--
		return true
	}
	if w != nil && w.share == nil {
		l.shares[tenant] = s
		l.add(s, w)
	}
	return false
}

// Give gives back a place that the tenant holds. If somebody may have it now, it
// calls Granted: the caller must hold no lock that a Granted takes.
func (l *Limiter) Give(tenant string) {
	if l == nil {
		return
	}
	if next := l.give(tenant); next != nil {
		next.Granted()
	}
}

// Cancel ends the waiting of w and returns true, or returns false if it does not
// wait: its Granted was called, or is about to be.
func (l *Limiter) Cancel(w *Waiter) bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := w.share
	if s == nil {
		return false
	}
	i := slices.Index(s.waiters, w)
	s.waiters = slices.Delete(s.waiters, i, i+1)
	l.left(s, w)
	return true
}

// Acquire takes a place for the tenant, and waits for it until ctx ends. The error
// is the cause of that.
func (l *Limiter) Acquire(ctx context.Context, tenant string) error {
	granted := make(chan struct{})
	w := &Waiter{Granted: func() { close(granted) }}
	if l.Take(tenant, w) {
		return nil
	}
	select {
	case <-granted:
		return nil
	case <-ctx.Done():
	}
	if !l.Cancel(w) {
		<-granted
		l.Give(tenant)
	}
	return context.Cause(ctx)
}

// Waiting returns the number of waiters. A holder that could go on with its place
// gives it back instead if there are any.
func (l *Limiter) Waiting() int {
	if l == nil {
		return 0
	}
	return int(l.waiting.Load())
}

// Held returns the number of places that are taken.
func (l *Limiter) Held() int {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size - l.free
}

// add lets w wait. l.mu is held.
func (l *Limiter) add(s *share, w *Waiter) {
	w.share = s
	s.waiters = append(s.waiters, w)
	l.waiting.Add(1)
	if len(s.waiters) == 1 {
		s.turn = l.nextTurn()
		heap.Push(&l.queue, s)
	}
}

// left records that w, which is no longer in s.waiters, does not wait any more.
// l.mu is held.
func (l *Limiter) left(s *share, w *Waiter) {
	w.share = nil
	l.waiting.Add(-1)
	if len(s.waiters) == 0 {
		heap.Remove(&l.queue, s.index)
	}
	l.forget(s)
}

// forget drops a share that has nothing and wants nothing. l.mu is held.
func (l *Limiter) forget(s *share) {
	if s.held == 0 && len(s.waiters) == 0 {
		delete(l.shares, s.tenant)
	}
}

// give frees a place of the tenant and returns the waiter that has it now, or nil.
// It can be no more than one: those that wait held at least as many as were free.
func (l *Limiter) give(tenant string) *Waiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.shares[tenant]
	s.held--
	l.free++
	if len(s.waiters) > 0 {
		heap.Fix(&l.queue, s.index)
	}
	l.forget(s)
	if len(l.queue) == 0 || l.queue[0].held >= l.free {
		return nil
	}
	return l.grant(l.queue[0])
}

// grant takes a place for the first waiter of s. l.mu is held.
func (l *Limiter) grant(s *share) *Waiter {
	w := s.waiters[0]
	s.waiters[0], s.waiters = nil, s.waiters[1:]
	s.held++
	l.free--
	s.turn = l.nextTurn()
	heap.Fix(&l.queue, s.index)
	l.left(s, w)
	return w
}

func (l *Limiter) nextTurn() uint64 {
	l.turns++
	return l.turns
}

// queue is a heap of shares, the one whose turn it is first.
type queue []*share

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	if q[i].held != q[j].held {
		return q[i].held < q[j].held
	}
	return q[i].turn < q[j].turn
}

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push implements heap.Interface.
func (q *queue) Push(s any) {
	s.(*share).index = len(*q)
	*q = append(*q, s.(*share))
}

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	s := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return s
}
