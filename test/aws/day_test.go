package aws

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sluicehq/sluice/test/aws/front"
	"github.com/sluicehq/sluice/test/aws/stack"
)

// TestDay plays longer rounds while one call in 50 fails in some way.
func TestDay(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	w := newWorld(t, stack.Options{Seed: seed, Shards: 2, Settings: map[string]string{"SLUICE_LANES": "2"}})
	var ends []func()
	for _, kind := range []front.Kind{front.Throttle, front.TimeoutAfterSuccess, front.Error500, front.Conflict} {
		ends = append(ends, w.Front.Inject(front.Fault{Kind: kind, Probability: 0.005, Match: func(_, op string, _ []byte) bool {
			return op != "ListExecutions"
		}}))
	}
	rounds := []*round{w.newRound(t), w.newRound(t)}
	var plays []func()
	for _, r := range rounds {
		plays = append(plays, func() { r.play(8, 300*time.Millisecond) })
	}
	sideBySide(len(plays), plays...)
	for _, end := range ends {
		end()
	}
	if len(w.Front.Injected()) == 0 {
		t.Error("no fault was injected")
	}
	w.heal(t, rounds...)
}
