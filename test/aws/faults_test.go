package aws

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/test/aws/front"
	"github.com/sluicehq/sluice/test/aws/stack"
)

// TestFaults makes every AWS call of a round fail, in every way and at several
// places. A round without faults shows which calls there are.
func TestFaults(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	w := newWorld(t, stack.Options{InvokeThroughFront: true, Seed: seed})
	operations := w.operations(t)
	sideBySide(2, func() { w.liveDeliveryFails(t) }, func() { w.responseIsLost(t) })
	random := rand.New(rand.NewPCG(seed, 1))
	var rounds []*round
	var plays []func()
	for _, operation := range operations {
		for _, kind := range kindsOf(operation) {
			for _, p := range patterns() {
				r := w.newRound(t)
				t.Logf("%s: %s, %s, %s", r.name, operation, kind, p.name)
				rounds = append(rounds, r)
				plays = append(plays, func() { r.playUnder(operation, kind, p) })
			}
		}
	}
	random.Shuffle(len(plays), func(i, j int) { plays[i], plays[j] = plays[j], plays[i] })
	sideBySide(roundsAtOnce, plays...)
	w.heal(t, rounds...)
	w.wantInjected(t, operations)
}

// roundsAtOnce is the number of concurrent rounds; most of the time they wait until
// an integration is stopped.
const roundsAtOnce = 40

// pattern says which of a round's calls of one operation fail.
type pattern struct {
	name string
	at   []front.Fault
}

// patterns have single faults, which the SDK's retries cover, and bursts, which
// they do not.
func patterns() []pattern {
	all := []pattern{
		{"burst", []front.Fault{{Count: 4}, {After: 5, Count: 4}}},
		{"scattered", []front.Fault{{Count: 1}, {After: 1, Count: 2}, {After: 3, Count: 3}}},
	}
	if testing.Short() {
		return all[:1]
	}
	return all
}

func kindsOf(operation string) []front.Kind {
	kinds := []front.Kind{front.Throttle, front.TimeoutAfterSuccess, front.Error500}
	if strings.HasPrefix(operation, front.DynamoDB+".") && !strings.HasSuffix(operation, "GetItem") && !strings.HasSuffix(operation, "Query") {
		kinds = append(kinds, front.Conflict)
	}
	return kinds
}

// operations returns the operations that a round without faults calls.
func (w *world) operations(t *testing.T) []string {
	t.Helper()
	before := w.Front.Counts()
	r := w.newRound(t)
	sideBySide(1, func() { r.play(2, 50*time.Millisecond) })
	w.until(t, "everything arrived", func() bool { return r.missing() == "" })
	r.check(t)
	counts := w.Front.Counts().Since(before)
	t.Logf("a round of %v makes %v", time.Since(r.began), counts)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(counts)), func(operation string) bool {
		return slices.Contains(pollers, operation) || slices.Contains(dataKeyCalls, operation)
	})
}

// dataKeyCalls are of no round: all tenants share a data key, which a process asks for once.
var dataKeyCalls = []string{"kms.GenerateDataKey", "kms.Decrypt"}

// TestDataKeyCallsFail makes the first calls for a data key fail in every way: of the process
// that seals the first secret, and of those that open it.
func TestDataKeyCallsFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Options{})
	for _, operation := range dataKeyCalls {
		for _, kind := range kindsOf(operation) { // one after the other: a call meets the first that is not used up
			match := func(service, op string, _ []byte) bool { return service+"."+op == operation }
			defer w.Front.Inject(front.Fault{Match: match, Kind: kind, Count: 4})()
		}
	}
	r := w.newRound(t)
	keyed := r.register("keyed", nil)
	r.publish(5, 0)
	w.untilDespite(t, "all arrived", func() bool { return r.lacks(keyed) == 0 })
	w.wantInjected(t, dataKeyCalls)
}

// pollers are the calls of the event source mapping.
var pollers = []string{"kinesis.GetRecords", "kinesis.GetShardIterator", "kinesis.ListShards"}

// playUnder plays a round while its calls of one operation fail.
func (r *round) playUnder(operation string, kind front.Kind, p pattern) {
	for _, f := range p.at {
		f.Kind = kind
		f.Match = r.of(operation)
		defer r.Front.Inject(f)()
	}
	r.play(2, 50*time.Millisecond)
	began := time.Now()
	eventually(2*time.Minute, func() bool { // on a busy machine the call may come late
		return r.missing() == "" || time.Since(began) > 15*time.Second && r.injected(operation, kind)
	})
	r.try(http.MethodGet, integrationsPath+"/picky/rejected_events", nil, nil) // or only the check reads it, once the faults are over
}

// of returns a Match for a round's calls of an operation.
func (r *round) of(operation string) func(string, string, []byte) bool {
	return func(service, op string, body []byte) bool {
		return service+"."+op == operation && bytes.Contains(body, []byte(r.name))
	}
}

// injected reports whether a fault was injected into a call of an operation.
func (w *world) injected(operation string, kind front.Kind) bool {
	return slices.ContainsFunc(w.Front.Injected(), func(i front.Injected) bool {
		return i.Service+"."+i.Op == operation && i.Kind == kind
	})
}

// wantInjected fails the test if some fault was never injected.
func (w *world) wantInjected(t *testing.T, operations []string) {
	t.Helper()
	for _, operation := range operations {
		for _, kind := range kindsOf(operation) {
			if !w.injected(operation, kind) {
				t.Errorf("%s never failed with %q", operation, kind)
			}
		}
	}
}
