package aws

import (
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/test/aws/stack"
)

// TestKilled repeatedly kills the processes of all functions in the middle of their
// work, while rounds are played.
func TestKilled(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	w := newWorld(t, stack.Options{Seed: seed})
	random := rand.New(rand.NewPCG(seed, 2))
	rounds := []*round{w.newRound(t), w.newRound(t), w.newRound(t), w.newRound(t)}
	over, killed := make(chan struct{}), map[string]int{}
	sideBySide(2, func() {
		defer close(over)
		var plays []func()
		for _, r := range rounds {
			plays = append(plays, func() { r.play(5, 300*time.Millisecond) })
		}
		sideBySide(len(plays), plays...)
	}, func() {
		// Limit the kills: on a slow machine no call would complete otherwise.
		left := map[string]int{"api": 60, "fanout": 100, "advance": 100}
		for len(left) > 0 {
			select {
			case <-over:
				return
			case <-time.After(time.Duration(random.Int64N(int64(200 * time.Millisecond)))):
				names := slices.Sorted(maps.Keys(left))
				name := names[random.IntN(len(names))]
				n := w.Host.Kill(name)
				if killed[name] += n; killed[name] >= left[name] {
					delete(left, name)
				}
			}
		}
	})
	t.Logf("killed: %v", killed)
	for _, name := range []string{"api", "fanout", "advance"} {
		if killed[name] == 0 {
			t.Errorf("no process of %s was killed while it was busy", name)
		}
	}
	w.heal(t, rounds...)
}

// held kills fanout, and then advance, when a receiver has the event and has not
// responded.
func held(t *testing.T, w *world) {
	for _, c := range []struct {
		function string
		failures int // before the call that is held
	}{{"fanout", 0}, {"advance", 1}} {
		r := w.newRound(t)
		to := r.register("held", nil)
		other := r.register("other", nil)
		held, release := make(chan struct{}), make(chan struct{})
		to.answers(func(n int, _ call) int {
			switch {
			case n < c.failures:
				return http.StatusServiceUnavailable
			case n == c.failures:
				to.hold = release // of this call and those that come before the release
				close(held)
			}
			return http.StatusOK
		})
		r.publish(1, 0)
		select {
		case <-held:
		case <-time.After(waitTimeout):
			t.Fatalf("%s: the call did not come", c.function)
		}
		if n := w.Host.Kill(c.function); n == 0 {
			t.Errorf("no process of %s held the call", c.function)
		}
		to.release(release)
		before := len(to.all())
		again := func() bool { return len(to.all()) > before }
		if c.function == "advance" { // the queue hides the message for minutes; the sweep is sooner
			w.untilDespite(t, "the event of the step that was killed is sent again", again)
		} else if !eventually(4*w.quietAfter, again) {
			t.Errorf("%s was killed before it got the response, and the event was not sent again", c.function)
		}
		r.publish(5, 0)
		w.untilDespite(t, "all arrived at both", func() bool {
			return r.lacks(to) == 0 && r.lacks(other) == 0
		})
	}
}

// release lets the receiver respond to held calls.
func (r *receiver) release(hold chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(hold)
	r.hold = nil
}

// lacks returns how many of the published events a receiver has not accepted.
func (r *round) lacks(to *receiver) int {
	taken := to.taken()
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, ids := range [][]string{r.orders, r.returns} {
		for _, id := range ids {
			if taken[id] == 0 {
				n++
			}
		}
	}
	return n
}
