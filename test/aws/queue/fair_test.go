package queue

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

// job is a message of a simulated queue. Times are seconds.
type job struct {
	tenant    int // 0 is the one with slow receivers
	since     float64
	takes, at float64 // of its step, and when that ends
}

// simulate runs an hour of a mapping with 100 steps at once. Tenant 0 has 1,000 cursors that are due
// all the time, in steps of about a minute, which is the longest that there are; each of 100 others
// has a step of a second each minute. It returns the waits of the others, sorted.
func simulate(fair bool) []float64 {
	const atOnce, hour = 100, 3600.0
	random := rand.New(rand.NewPCG(1, 2))
	var waiting, running []job
	for range 1000 {
		waiting = append(waiting, job{takes: 50 + 10*random.Float64()})
	}
	for tenant := 1; tenant <= 100; tenant++ {
		waiting = append(waiting, job{tenant: tenant, since: 60 * random.Float64(), takes: 1})
	}
	var waits []float64
	for now := 0.0; now < hour; now += 0.1 {
		running = slices.DeleteFunc(running, func(j job) bool {
			if j.at > now {
				return false
			}
			next := job{tenant: j.tenant, since: now, takes: j.takes}
			if j.tenant > 0 {
				next.since += 60
			}
			waiting = append(waiting, next)
			return true
		})
		for len(running) < atOnce {
			i := first(waiting, running, now, fair)
			if i < 0 {
				break
			}
			j := waiting[i]
			waiting = slices.Delete(waiting, i, i+1)
			if j.tenant > 0 {
				waits = append(waits, now-j.since)
			}
			j.at = now + j.takes
			running = append(running, j)
		}
	}
	slices.Sort(waits)
	return waits
}

// first returns the message that is given out next, the oldest: of a fair queue, of a tenant that does
// not have more than a tenth of the steps in progress and 30 of them, if there is one.
func first(waiting, running []job, now float64, fair bool) int {
	busy := 0
	for _, j := range running {
		if j.tenant == 0 {
			busy++
		}
	}
	noisy := fair && busy >= 30 && busy*10 > len(running)
	best := -1
	for i, j := range waiting {
		if j.since > now {
			continue
		}
		if best < 0 || cmp.Or(cmp.Compare(last(noisy, j), last(noisy, waiting[best])), cmp.Compare(j.since, waiting[best].since)) < 0 {
			best = i
		}
	}
	return best
}

func last(noisy bool, j job) int {
	if noisy && j.tenant == 0 {
		return 1
	}
	return 0
}

// A tenant with ten times as many slow receivers as there are steps at once delays others by the
// time until the next step ends. Without groups they would wait for its backlog.
func TestASlowTenantDoesNotHoldUpOthers(t *testing.T) {
	fair, plain := simulate(true), simulate(false)
	middle := func(waits []float64) float64 { return waits[len(waits)/2] }
	worst := func(waits []float64) float64 { return waits[len(waits)-1] }
	t.Logf("fair: %d steps of others, half within %.1f s, all within %.0f s; oldest first: %d steps, %.0f s and %.0f s",
		len(fair), middle(fair), worst(fair), len(plain), middle(plain), worst(plain))
	if middle(fair) > 1 || worst(fair) > 60 || len(fair) < 5000 {
		t.Error("others wait although the queue is fair")
	}
	if middle(plain) < 300 {
		t.Error("others do not wait without groups, so the simulation shows nothing")
	}
}
