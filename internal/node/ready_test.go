package node

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A probe writes to the disk, and needs no token: a flood of them is one a second.
func TestReadinessIsProbedOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var probes atomic.Int32
		full := errors.New("the disk is full")
		var disk atomic.Pointer[error]
		ready := shareReadiness(func(context.Context) error {
			probes.Add(1)
			time.Sleep(100 * time.Millisecond)
			if err := disk.Load(); err != nil {
				return *err
			}
			return nil
		}, nil)
		ask := func(want error) {
			t.Helper()
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					if err := ready(t.Context()); !errors.Is(err, want) {
						t.Errorf("got %v, want %v", err, want)
					}
				})
			}
			wg.Wait()
		}
		ask(nil)
		disk.Store(&full)
		ask(nil) // as the last probe said
		if n := probes.Load(); n != 1 {
			t.Errorf("%d probes for 200 callers within a second, want 1", n)
		}
		time.Sleep(sharedFor)
		ask(full)
		disk.Store(nil)
		time.Sleep(sharedFor)
		ask(nil)
		if n := probes.Load(); n != 3 {
			t.Errorf("%d probes, want 3", n)
		}
		time.Sleep(sharedFor)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := ready(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller that is gone got %v", err)
		}
		time.Sleep(time.Second) // its probe ends by itself
	})
}
