package delivery

import (
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBackoffCeilings(t *testing.T) {
	want := []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} // seconds, as its comment says
	r := rand.New(rand.NewPCG(1, 2))
	for i, seconds := range want {
		ceiling, longest := seconds*time.Second, time.Duration(0)
		for range 2000 {
			d := Backoff(i+1, time.Second, 5*time.Minute, r)
			if d < 0 || d > ceiling {
				t.Fatalf("failure %d: %v, want at most %v", i+1, d, ceiling)
			}
			longest = max(longest, d)
		}
		if longest < ceiling*9/10 {
			t.Errorf("failure %d: of 2000 the longest is %v; the jitter does not reach up to %v", i+1, longest, ceiling)
		}
	}
}

func TestBackoffDependsOnTheSeedAlone(t *testing.T) {
	draw := func(seed uint64) (ds [20]time.Duration) {
		r := rand.New(rand.NewPCG(seed, 0))
		for i := range ds {
			ds[i] = Backoff(i+1, time.Second, 5*time.Minute, r)
		}
		return ds
	}
	if first, second := draw(7), draw(7); first != second {
		t.Error("the same seed gave two schedules")
	}
	if draw(7) == draw(8) {
		t.Error("integrations that failed together come back together")
	}
}

func TestBackoffNeverOverflows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lowest := time.Duration(rapid.Int64Range(1, math.MaxInt64-1).Draw(t, "lowest"))
		highest := time.Duration(rapid.Int64Range(int64(lowest), math.MaxInt64-1).Draw(t, "highest"))
		failures := rapid.IntRange(0, 1000).Draw(t, "failures")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		if d := Backoff(failures, lowest, highest, r); d < 0 || d > highest {
			t.Fatalf("%v, want 0 to %v", d, highest)
		}
	})
}

func TestTail(t *testing.T) {
	tail := NewLogEnd(3)
	tail.Grow(2)
	tail.Grow(3)
	select {
	case <-tail.grown:
		t.Error("says that it grew, and did not")
	default:
	}
	tail.Grow(5)
	tail.Grow(7)
	if tail.Segment() != 7 {
		t.Errorf("head %d, want 7", tail.Segment())
	}
	<-tail.grown // several at once are one signal
	select {
	case <-tail.grown:
		t.Error("says twice that it grew")
	default:
	}
}

func TestTailFromManySides(t *testing.T) {
	const sides, steps = 4, 500
	tail := NewLogEnd(0)
	var wg sync.WaitGroup
	for side := range sides {
		wg.Go(func() {
			for i := range steps {
				tail.Grow(uint64(i*sides + side))
			}
		})
	}
	for tail.Segment() < sides*steps-1 {
		<-tail.grown // never misses the last one
	}
	wg.Wait()
}
