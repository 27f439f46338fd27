package node

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// sharedFor is the minimum time for which one value is shared.
const sharedFor = time.Second

// shared loads a value at most once a second for all its callers: loading it is
// expensive, and anyone may call. A value that takes longer to load is shared for longer,
// so that loading takes at most a fifth of the time. It is safe for concurrent use.
type shared[T any] struct {
	load func(context.Context) (T, error)

	loads singleflight.Group
	mu    sync.Mutex
	until time.Time
	value T
	err   error
}

func share[T any](load func(context.Context) (T, error)) *shared[T] { return &shared[T]{load: load} }

// Get returns the newest value, or ctx's error if it ends before there is one.
func (s *shared[T]) Get(ctx context.Context) (T, error) {
	if value, fresh, err := s.newest(); fresh {
		return value, err
	}
	done := s.loads.DoChan("", func() (any, error) {
		if _, fresh, _ := s.newest(); !fresh { // loaded since this caller looked
			s.renew(context.WithoutCancel(ctx)) // other callers share it
		}
		return nil, nil
	})
	select {
	case <-done:
		value, _, err := s.newest()
		return value, err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// Await is Get without a deadline.
func (s *shared[T]) Await() (T, error) { return s.Get(context.Background()) }

func (s *shared[T]) newest() (value T, fresh bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value, time.Now().Before(s.until), s.err
}

func (s *shared[T]) renew(ctx context.Context) {
	began := time.Now()
	value, err := s.load(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	ended := time.Now()
	s.value, s.err, s.until = value, err, ended.Add(max(sharedFor, 4*ended.Sub(began)))
}
