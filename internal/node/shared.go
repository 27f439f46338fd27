package node

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// sharedFor is how long one answer is given to all that ask.
const sharedFor = time.Second

// shared gives all that ask within a second one answer, which costs too much to make one
// for each: anyone may ask. An answer that takes longer to make is kept for longer, so that
// making answers never takes more than a fifth of the time. It is safe for concurrent use.
type shared[T any] struct {
	ask func(context.Context) (T, error)

	asked  singleflight.Group
	mu     sync.Mutex
	until  time.Time
	answer T
	err    error
}

func share[T any](ask func(context.Context) (T, error)) *shared[T] { return &shared[T]{ask: ask} }

// Get returns the newest answer, or ctx's error if it ends before there is one.
func (s *shared[T]) Get(ctx context.Context) (T, error) {
	if answer, fresh, err := s.newest(); fresh {
		return answer, err
	}
	done := s.asked.DoChan("", func() (any, error) {
		if _, fresh, _ := s.newest(); !fresh { // asked since this caller looked
			s.renew(context.WithoutCancel(ctx)) // it is not this caller's alone
		}
		return nil, nil
	})
	select {
	case <-done:
		answer, _, err := s.newest()
		return answer, err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// Await is Get without an end.
func (s *shared[T]) Await() (T, error) { return s.Get(context.Background()) }

func (s *shared[T]) newest() (answer T, fresh bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answer, time.Now().Before(s.until), s.err
}

func (s *shared[T]) renew(ctx context.Context) {
	began := time.Now()
	answer, err := s.ask(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	ended := time.Now()
	s.answer, s.err, s.until = answer, err, ended.Add(max(sharedFor, 4*ended.Sub(began)))
}
