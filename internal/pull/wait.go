package pull

import (
	"context"
	"sync"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
)

// await is page, but waits while there is no event. What the client is told holds at the
// end of the wait: the integration is there, and the filter is the one that it has then.
func (s *Service) await(ctx context.Context, in *integration.Integration, at *place, q *Query) (*Page, error) {
	if !s.Waits.Take(in.Tenant, nil) {
		return nil, problem.New(problem.TooManyRequests, "As many calls wait for events as may. Call again later, or without wait.")
	}
	defer s.Waits.Give(in.Tenant)
	woken, leave := s.Waiters.join(in.Tenant)
	defer leave()
	waiting, cancel := context.WithTimeout(ctx, s.longest(ctx, q.Wait))
	defer cancel()
	lost := 0
	for delay := firstLook; ; delay = min(2*delay, lastLook) {
		p, err := s.page(ctx, in, at, q)
		if err != nil {
			return nil, err
		}
		lost += p.Lost
		if p.Lost = lost; p.Events > 0 || !p.AtEnd {
			return p, nil
		}
		at.checked = true
		ended := !waitFor(waiting, woken, delay)
		incarnation := in.Incarnation
		if in, err = s.Integrations.Get(ctx, in.Tenant, in.ID); err != nil {
			return nil, err
		}
		if in.Incarnation != incarnation {
			return nil, problem.New(problem.NotFound, "Integration %q was deleted, and registered again, while this call waited.", in.ID)
		}
		if ended {
			return p, nil
		}
	}
}

// longest returns how long a call may wait, so that it ends before its deadline.
func (s *Service) longest(ctx context.Context, wait time.Duration) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return min(wait, max(0, time.Until(deadline)-deadlineReserve))
	}
	return wait
}

// How long a call waits before it looks at the log again, if nothing wakes it: at first,
// and at last. Each look reads two records, and one for each lane.
const (
	firstLook = 250 * time.Millisecond
	lastLook  = 2 * time.Second
)

// waitFor waits until it is woken; without that, for the delay. It returns false once ctx
// has ended.
func waitFor(ctx context.Context, woken <-chan struct{}, delay time.Duration) bool {
	if woken == nil {
		look := time.NewTimer(delay)
		defer look.Stop()
		select {
		case <-look.C:
			return true
		case <-ctx.Done():
			return false
		}
	}
	select {
	case _, open := <-woken:
		return open
	case <-ctx.Done():
		return false
	}
}

// Waiters are the calls of a process that wait, by tenant. The zero value has none. A nil
// *Waiters wakes nobody. It is safe for concurrent use.
type Waiters struct {
	mu      sync.Mutex
	waiting map[string]map[chan struct{}]struct{}
	closed  bool
}

// join adds a waiter, which is woken for each Wake from now on, and until leave. Its
// channel is closed by Close.
func (w *Waiters) join(tenant string) (woken <-chan struct{}, leave func()) {
	if w == nil {
		return nil, func() {}
	}
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		close(c)
		return c, func() {}
	}
	if w.waiting == nil {
		w.waiting = make(map[string]map[chan struct{}]struct{})
	}
	if w.waiting[tenant] == nil {
		w.waiting[tenant] = make(map[chan struct{}]struct{})
	}
	w.waiting[tenant][c] = struct{}{}
	return c, func() { w.leave(tenant, c) }
}

func (w *Waiters) leave(tenant string, c chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waiting[tenant], c)
	if len(w.waiting[tenant]) == 0 {
		delete(w.waiting, tenant)
	}
}

// Wake lets the waiters of a tenant look again: its log has grown, or an integration has
// changed. It does not block.
func (w *Waiters) Wake(tenant string) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.waiting[tenant] {
		select {
		case c <- struct{}{}:
		default: // it has yet to look
		}
	}
}

// Close ends all waits, and those that begin later.
func (w *Waiters) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, all := range w.waiting {
		for c := range all {
			close(c)
		}
	}
	w.waiting = nil
}
