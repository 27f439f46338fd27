package aws

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/sluicehq/sluice/test/aws/front"
	"github.com/sluicehq/sluice/test/aws/stack"
)

// TestExecutionsStopped repeatedly stops every execution and purges the queue while rounds
// are played, and once more at the end, so that nothing advances the cursors that are due.
func TestExecutionsStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Options{})
	rounds := []*round{w.newRound(t), w.newRound(t), w.newRound(t)}
	for _, r := range rounds {
		behind := r.register("behind", nil)
		began := time.Now()
		behind.answers(func(int, call) int {
			if time.Since(began) < 20*time.Second {
				return http.StatusServiceUnavailable
			}
			return http.StatusOK
		})
	}
	var plays []func()
	for _, r := range rounds {
		plays = append(plays, func() { r.play(4, 300*time.Millisecond) })
	}
	over := make(chan struct{})
	stopped := 0
	sideBySide(2, func() {
		defer close(over)
		sideBySide(len(plays), plays...)
	}, func() {
		for {
			select {
			case <-over:
				return
			case <-time.After(500 * time.Millisecond):
				stopped += w.stopExecutions(t)
			}
		}
	})
	stopped += w.stopExecutions(t)
	t.Logf("%d executions and messages were stopped", stopped)
	if stopped < 10 {
		t.Errorf("only %d executions and messages were stopped", stopped)
	}
	w.heal(t, rounds...)
	for _, r := range rounds {
		if n := r.lacks(r.receivers["behind"]); n > 0 {
			t.Errorf("behind lacks %d events", n)
		}
	}
}

// stopExecutions stops every running execution, deletes every message, and returns how many.
func (w *world) stopExecutions(t *testing.T) int {
	t.Helper()
	running := w.executions(t, types.ExecutionStatusRunning)
	for _, x := range running {
		if _, err := w.SFN.StopExecution(t.Context(), &sfn.StopExecutionInput{ExecutionArn: x.ExecutionArn, Error: aws.String("Stopped")}); err != nil {
			t.Error(err)
		}
	}
	return len(running) + w.Queue.Purge()
}

// TestSweepUnderFaults makes every call of a sweep fail, as often as the sweep
// makes it. The next sweep without faults does all of the work.
func TestSweepUnderFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Options{Settings: map[string]string{"SLUICE_TEMPORARY_GRACE": "1s"}})
	r := w.newRound(t)
	sideBySide(1, func() { r.play(1, 0) })
	w.until(t, "everything arrived", func() bool { return r.missing() == "" })
	other := w.newRound(t)
	behind := other.register("behind", nil)
	behind.answers(func(int, call) int { return http.StatusServiceUnavailable })
	other.publish(3, 0)
	w.until(t, "it is behind", func() bool { return len(behind.all()) > 3 })
	w.until(t, "its executions were stopped", func() bool {
		// A step in flight sends its next message after its own is deleted.
		stopped := w.stopExecutions(t)
		calls := len(behind.all())
		sleep(t.Context(), 2*time.Second)
		return stopped == 0 && len(behind.all()) == calls
	})
	behind.answers(nil)
	r.call(http.MethodDelete, integrationsPath+"/late", nil, nil)
	calls := len(behind.all())
	sleep(t.Context(), 2*w.quietAfter)

	if len(behind.all()) > calls {
		t.Fatal("the cursor advances without a sweep")
	}

	before := w.Front.Counts()
	for _, group := range []func(service, op string, _ []byte) bool{
		front.Operation(front.DynamoDB, "Query"),
		front.Operation(front.DynamoDB, "GetItem"),
		func(service, op string, _ []byte) bool {
			return service == front.S3 || service == front.SQS || service == front.StepFunctions && op == "StartExecution" ||
				service == front.DynamoDB && op != "Query" && op != "GetItem"
		},
	} {
		for _, kind := range []front.Kind{front.Throttle, front.Error500, front.Conflict, front.TimeoutAfterSuccess} {
			end := w.Front.Inject(front.Fault{Match: group, Kind: kind})
			t.Logf("a sweep in which every call gets %q: %.200v", kind, w.Sweep(t.Context()))
			end()
		}
	}
	injected := map[string]bool{}
	for _, i := range w.Front.Injected() {
		injected[i.Service+"."+i.Op] = true
	}
	for operation := range w.Front.Counts().Since(before) {
		if !injected[operation] && !slices.Contains(pollers, operation) {
			t.Errorf("no fault was injected into %s", operation)
		}
	}
	if err := w.Sweep(t.Context()); err != nil {
		t.Errorf("the sweep failed: %v", err)
	}
	if !eventually(afterSweep, func() bool { return other.lacks(behind) == 0 }) {
		t.Error("one sweep did not start the overdue cursor")
	}
	if status := r.try(http.MethodGet, integrationsPath+"/replay", nil, nil); status != http.StatusNotFound {
		t.Errorf("the expired replay still exists: %d", status)
	}
}
