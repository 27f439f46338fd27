package backoff

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestCeilings(t *testing.T) {
	want := []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} // seconds, as its comment says
	r := rand.New(rand.NewPCG(1, 2))
	for i, seconds := range want {
		ceiling, longest := seconds*time.Second, time.Duration(0)
		for range 2000 {
			d := Full(time.Second, i+1, 5*time.Minute, r)
			if d < 0 || d > ceiling {
				t.Fatalf("failure %d: %v, want at most %v", i+1, d, ceiling)
			}
			longest = max(longest, d)
		}
		if longest < ceiling*9/10 {
			t.Errorf("failure %d: the longest of 2000 delays is %v; the jitter should reach %v", i+1, longest, ceiling)
		}
	}
}

func TestJitterDependsOnTheSeedAlone(t *testing.T) {
	draw := func(seed uint64) (ds [20]time.Duration) {
		r := rand.New(rand.NewPCG(seed, 0))
		for i := range ds {
			ds[i] = Full(time.Second, i+1, 5*time.Minute, r)
		}
		return ds
	}
	if first, second := draw(7), draw(7); first != second {
		t.Error("the same seed gave different schedules")
	}
	if draw(7) == draw(8) {
		t.Error("integrations that failed together retry together")
	}
}

func TestNothingOverflows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lowest := time.Duration(rapid.Int64Range(1, math.MaxInt64-1).Draw(t, "lowest"))
		highest := time.Duration(rapid.Int64Range(int64(lowest), math.MaxInt64-1).Draw(t, "highest"))
		failures := rapid.IntRange(0, 1000).Draw(t, "failures")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		if d := Full(lowest, failures, highest, r); d < 0 || d > highest {
			t.Fatalf("%v, want 0 to %v", d, highest)
		}
	})
}

func TestWaitEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := Wait(t.Context(), time.Minute); err != nil || time.Since(began) != time.Minute {
			t.Errorf("waited %v, %v", time.Since(began), err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("enough")
		time.AfterFunc(time.Second, func() { cancel(cause) })
		if err := Wait(ctx, time.Hour); !errors.Is(err, cause) || time.Since(began) > 2*time.Minute {
			t.Errorf("got %v after %v, want the cause", err, time.Since(began))
		}
	})
}
