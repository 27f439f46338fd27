package delivery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
)

// A replay whose end passes while it is catching up is complete as soon as it reaches
// that end, without another delay.
func TestReplayWhoseEndPassesWhileItIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, false, nil)
		from := time.Now().UTC()
		time.Sleep(time.Second)
		ids := r.publish(100)
		r.answer(takes(time.Second, delivered)) // several seconds for all of them
		r.register(replay(hookSpec("replay"), from, time.Now().Add(2*time.Second)))
		began := time.Now()
		for r.status("replay") != integration.Stopped {
			if time.Sleep(100 * time.Millisecond); time.Since(began) > 20*time.Second {
				t.Fatalf("it is %s after %v, with %d of %d events", r.status("replay"), time.Since(began), len(times(r.got())), len(ids))
			}
		}
		if n := len(times(r.got())); n != len(ids) {
			t.Errorf("%d of %d events arrived", n, len(ids))
		}
	})
}
