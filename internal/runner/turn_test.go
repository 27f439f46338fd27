package runner

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/fairshare"
	"github.com/sluicehq/sluice/internal/handoff"
)

// However many places there are, only so many steps keep the processors busy at a time,
// and each leaves them alone for as long again as it took. A step that waits is no work
// for them: it goes on without a turn.
func TestStepsLeaveHalfOfTheProcessors(t *testing.T) {
	for _, c := range []struct {
		name        string
		takes, want time.Duration
		most        int32
	}{
		{"steps that work", 4 * time.Millisecond, 200 * time.Millisecond, 4},
		{"steps that wait", time.Second, 1240 * time.Millisecond, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &Places{Turns: fairshare.New(8)}
				for kind := range p.Steps {
					p.Steps[kind] = fairshare.New(1000)
				}
				s := &slowStore{seen: map[handoff.Key]int{}, takes: c.takes}
				schedule, r := runningIn(s, p)
				began := time.Now()
				for i := range 100 {
					schedule.Schedule(handoff.Key{Tenant: "acme", Integration: fmt.Sprint(i)})
				}
				for s.reads.Load() < 100 || s.under.Load() > 0 {
					time.Sleep(time.Millisecond)
				}
				if took := time.Since(began).Round(10 * time.Millisecond); s.most.Load() != c.most || took != c.want {
					t.Errorf("100 steps of %v took %v, %d at a time; want %v and %d: a tenant alone has half of 8 turns", c.takes, took, s.most.Load(), c.want, c.most)
				}
				r.Stop()
				time.Sleep(turnLimit)
				if p.Turns.Held() != 0 {
					t.Errorf("%d turns are kept", p.Turns.Held())
				}
			})
		})
	}
}
