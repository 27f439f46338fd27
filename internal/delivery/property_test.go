package delivery_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What the assertions guard. Each was seen to fail when the engine, or what it
// stands on, was broken as the line says:
//
//	assertion  fails when
//	lost       the commit of delivered ignores the record's version, or passes
//	           followers without a rider; a join ignores delivered; wake followers
//	           are not woken; a replay takes its bound for final before it is
//	driven     the sweep finds nothing; a failed cursor is not due again
//	owner      a leave is two transactions; a stop leaves the roster as it is
//	quiet      a stop is quiet at once; riders start calls past their time; a file
//	           is not confirmed; an ended activity begins again, or goes on; a
//	           replay is complete while its follow loop has calls under way
//	repeats    a retried append is appended again; leases, or what is through ahead
//	           of its turn, are ignored; a shutdown forgets what it has
//	attempts   marks are dropped when progress is kept
//	hot loop   (a bound on calls of ports) something goes round and round
//
// A failing case is printed with its draws and a seed; -rapid.seed=N plays it
// again, and SLUICE_TEST_CASES=20000 looks further.

// cases is how many interleavings TestEveryEventReachesEveryIntegration plays,
// unless -rapid.checks or SLUICE_TEST_CASES says otherwise.
const cases = 2500

func TestEveryEventReachesEveryIntegration(t *testing.T) {
	setCases(t)
	runs := 1
	rapid.Check(t, func(rt *rapid.T) {
		sc := drawScenario(rt)
		for range runs {
			rapid.SyncTest(rt, func(rt *rapid.T) {
				w := newWorld(sc)
				if broken := w.run(); len(broken) > 0 {
					runs = 20 // what depends on the order of two goroutines may need some to come again
					rt.Fatalf("%s case, %d calls, %d incidents:\n%s", sc.Kind, w.calls, w.incidents, strings.Join(broken, "\n"))
				}
			})
		}
	})
}

func setCases(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	if checks == nil || checks.Value.String() != checks.DefValue {
		return
	}
	n := fmt.Sprint(cases)
	if more := os.Getenv("SLUICE_TEST_CASES"); more != "" {
		n = more
	}
	if err := checks.Value.Set(n); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = checks.Value.Set(checks.DefValue) })
}
