package delivery

import (
	"sync"
	"testing"
)

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
