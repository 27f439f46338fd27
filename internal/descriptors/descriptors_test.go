package descriptors

import "testing"

func TestDefaultOfCallsIsBounded(t *testing.T) {
	for descriptors, want := range map[int]int{0: 16, 66: 66, 768: 768, 1 << 20: 2048} {
		if got := Calls(descriptors); got != want {
			t.Errorf("%d descriptors are for %d calls, want %d", descriptors, got, want)
		}
	}
	if got := Limit(); got < 16 || got > 1<<20 {
		t.Errorf("the limit is %d", got)
	}
}
