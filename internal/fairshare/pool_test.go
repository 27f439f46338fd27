package fairshare

import (
	"fmt"
	"sync"
	"testing"
)

// fill takes one at a time until the pool refuses, and returns how much that was.
func fill(h *Hold) int64 {
	amount := int64(0)
	for h.Grow(amount + 1) {
		amount++
	}
	return amount
}

func TestTenantHoldsAtMostWhatItLeavesFree(t *testing.T) {
	p := NewPool(1200)
	a, again, b, c := p.Hold("a"), p.Hold("a"), p.Hold("b"), p.Hold("c")
	for _, step := range []struct {
		name string
		hold *Hold
		want int64
	}{{"alone", &a, 600}, {"a second call of the same", &again, 0}, {"a newcomer", &b, 300}, {"another one", &c, 150}} {
		if got := fill(step.hold); got != step.want {
			t.Errorf("%s holds %d, want %d", step.name, got, step.want)
		}
	}
	a.Release()
	if got := fill(&a); got != 375 {
		t.Errorf("beside 300 and 150 of others a tenant holds %d of 1200, want half of the rest", got)
	}
}

// Those who take again and again end up with equal shares, and leave one for a newcomer.
func TestGreedyTenantsEndUpEven(t *testing.T) {
	p := NewPool(10_000)
	holds := make([]Hold, 4)
	for i := range holds {
		holds[i] = p.Hold(fmt.Sprint(i))
	}
	for range 50 {
		for i := range holds {
			holds[i].Release()
			fill(&holds[i])
		}
	}
	for i := range holds {
		if got := holds[i].amount; got < 1900 || got > 2100 {
			t.Errorf("tenant %d of four holds %d of 10,000, want about a fifth", i, got)
		}
	}
}

func TestReleasedHoldsLeaveNothing(t *testing.T) {
	p := NewPool(1 << 20)
	var calls sync.WaitGroup
	for i := range 100 {
		calls.Go(func() {
			for n := range int64(100) {
				h := p.Hold(fmt.Sprint(i % 7))
				h.Grow(n * 100)
				h.Grow(n * 200)
				h.Release()
				h.Release()
			}
		})
	}
	calls.Wait()
	if p.free != 1<<20 || len(p.held) != 0 {
		t.Errorf("%d of %d are free; held: %v", p.free, 1<<20, p.held)
	}
	var none Hold
	if none.Grow(1) || !none.Grow(0) {
		t.Error("the zero Hold grows")
	}
	none.Release()
}
