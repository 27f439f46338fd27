package delivery

import (
	"sync"
	"testing"
)

func TestLogEnd(t *testing.T) {
	end := NewLogEnd(3)
	end.Grow(2)
	end.Grow(3)
	select {
	case <-end.grown:
		t.Error("signalled without growth")
	default:
	}
	end.Grow(5)
	end.Grow(7)
	if end.Segment() != 7 {
		t.Errorf("end %d, want 7", end.Segment())
	}
	<-end.grown // several calls make one signal
	select {
	case <-end.grown:
		t.Error("signalled twice")
	default:
	}
}

func TestLogEndIsSafeForConcurrentUse(t *testing.T) {
	const sides, steps = 4, 500
	end := NewLogEnd(0)
	var wg sync.WaitGroup
	for side := range sides {
		wg.Go(func() {
			for i := range steps {
				end.Grow(uint64(i*sides + side))
			}
		})
	}
	for end.Segment() < sides*steps-1 {
		<-end.grown // never misses the last growth
	}
	wg.Wait()
}
