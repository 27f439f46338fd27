package delivery_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// cases is how many interleavings TestEveryEventReachesEveryIntegration plays,
// unless -rapid.checks or SLUICE_TEST_CASES says otherwise.
const cases = 1500

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
