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
// depends on, had one of these bugs:
//
//	assertion  fails when
//	lost       the commit of the low watermark ignores the partition state's version,
//	           or subscribers without a worker; a join ignores the low watermark;
//	           subscribers in Mode Wake are not woken; a replay treats its bound as
//	           final too early; a failure with a status counts as acknowledged; live
//	           delivery that has ended misses a growth of the log; what was trimmed
//	           or skipped is not told; a failed group counts as committed, or leaves
//	           something in memory
//	scheduled  the sweep finds nothing; a failed cursor is not due again; the runner
//	           loses a change of a cursor that it is advancing; a start reclaims
//	           nothing of what the earlier process left
//	owner      a leave is two transactions; a stop does not change the live set
//	quiet      a stop counts as quiet at once; workers start calls past their
//	           deadline; a file is not confirmed; an ended activity begins again, or
//	           goes on; a replay completes while live delivery has calls in flight
//	repeats    a retried append is appended again; leases, or events acknowledged out
//	           of order, are ignored; a shutdown does not save ack states
//	attempts   attempt counts are dropped when an ack state is saved
//	stopped    an integration is stopped for its first failure
//	skipped    a skip acknowledges another event than the one it was asked for, or one that
//	           is not kept as rejected
//	moved      a start from a time begins later, or says nothing of it
//	recorded   the record of what has left, or was sent beside a leave, is dropped; what a
//	           failed commit took is not given back; a checkpoint or a join forgets it
//	by hand    a retry in bulk tells of a delivery that failed
//	updated    an update keeps a part of the old filter
//	hot loop   (a bound on calls of ports) something loops without progress
//
// What runs is the runner of a node, over ports that are slow, fail and crash. A share of
// the cases is over SQLite, on a disk whose writes fail.
//
// A failing case is printed with its draws and a seed; -rapid.seed=N replays it, and
// SLUICE_TEST_CASES=20000 runs more cases.

// cases is how many interleavings TestEveryEventReachesEveryIntegration runs, unless
// -rapid.checks or SLUICE_TEST_CASES is set.
const cases = 1000

func TestEveryEventReachesEveryIntegration(t *testing.T) {
	setCases(t)
	runs := 1
	rapid.Check(t, func(rt *rapid.T) {
		sc := drawScenario(rt)
		for range runs {
			rapid.SyncTest(rt, func(rt *rapid.T) {
				w := newWorld(sc)
				if broken := w.run(); len(broken) > 0 {
					runs = 20 // a failure that depends on the order of two goroutines may need several runs to recur
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
