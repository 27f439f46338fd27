package bench

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/sluicehq/sluice/test/aws/bench/cost"
)

// Run measures everything. A short run is rough.
func Run(t testing.TB, command string, short bool) *cost.Measured {
	rounds, turns, lasting := 3, 60, 5*time.Second
	if short {
		rounds, turns, lasting = 1, 20, 3*time.Second
	}
	m := &cost.Measured{
		Command: command, Date: time.Now().UTC().Format(time.DateOnly), Rounds: rounds, Load: load(),
		Machine: fmt.Sprintf("%d processors, %s, %s/%s", runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH),
	}
	s := newStage(t)
	m.Functions = s.functions()
	m.FullBatches = s.fullBatches()
	m.Publish = s.publishing(turns)
	m.HotPath = s.hotPath(turns)
	m.Live, m.CatchUp = s.cases(rounds, lasting)
	m.Load += " and " + load()
	return m
}

// cases measures each case in each round.
func (s *stage) cases(rounds int, lasting time.Duration) (live, catchUp []cost.Case) {
	tenants := s.tenants()
	var lives, catchUps [][]cost.Case // by case, by round
	for round := range rounds {
		s.say("round %d of %d", round+1, rounds)
		i := 0
		for _, tn := range tenants {
			for _, sh := range shapes {
				if sh.fits(tn.delayMS) {
					lives = put(lives, i, tn.live(sh, lasting))
					i++
				}
			}
		}
		s.stopAll(tenants)
		for i, tn := range tenants {
			catchUps = put(catchUps, i, tn.catchUp(waiting[tn.delayMS]))
		}
	}
	for _, c := range lives {
		live = append(live, middle(c))
	}
	for _, c := range catchUps {
		catchUp = append(catchUp, middle(c))
	}
	return live, catchUp
}

func put(list [][]cost.Case, i int, c cost.Case) [][]cost.Case {
	if i == len(list) {
		list = append(list, nil)
	}
	list[i] = append(list[i], c)
	return list
}
