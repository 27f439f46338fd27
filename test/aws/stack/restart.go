package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"
)

// Restart ends every function process, as an update of the functions does, and kills
// busy ones in the middle of their work.
func (s *Stack) Restart() {
	for _, name := range names {
		s.Host.Kill(name)
		s.Host.Recycle(name)
	}
}

// Sweep runs the function sweep, as its schedule does.
func (s *Stack) Sweep(ctx context.Context) error {
	input, err := json.Marshal(map[string]any{"time": time.Now().UTC()})
	if err != nil {
		return err
	}
	r, err := s.Host.Invoke(ctx, "sweep", input)
	if err == nil && r.FunctionError != "" {
		err = fmt.Errorf("sweep: %s: %s", r.FunctionError, r.Payload)
	}
	return err
}

// KeepSweeping sweeps every ten seconds, which is more often than the schedule does, until
// the test ends. A killed process leaves work for the sweep: a commit whose message was not
// sent, or a message that the queue hides for minutes.
func (s *Stack) KeepSweeping(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		done.Wait()
	})
	done.Go(func() {
		tick := time.NewTicker(10 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			case <-ctx.Done():
				return
			}
		}
	})
}
