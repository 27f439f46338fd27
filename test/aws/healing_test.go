package aws

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/sluicehq/sluice/test/aws/front"
)

// heal holds a deployment to its promise: when the faults have ended, nothing
// is missing after one sweep. A sweep takes what is overdue by the world's
// quietAfter, of which a driver that was lost has a lease of its own.
func (w *world) heal(t *testing.T, rounds ...*round) {
	t.Helper()
	whole := func() bool { return w.missing(rounds) == "" }
	if !eventually(2*w.quietAfter+time.Second, whole) {
		t.Logf("to be swept: %s", w.missing(rounds))
	}
	if err := w.Sweep(t.Context()); err != nil {
		t.Errorf("the sweep failed although nothing else does any more: %v", err)
	}
	if !eventually(afterSweep, whole) {
		t.Errorf("one sweep was not enough: %s", w.missing(rounds))
		return
	}
	w.until(t, "nothing is left on the stream", w.Poller.Idle)
	if d := w.Poller.Stats().Discarded; d > 0 {
		t.Errorf("%d records were given up", d)
	}
	if failed := w.executions(t, types.ExecutionStatusFailed); len(failed) > 0 {
		t.Errorf("%d executions failed, the last is %s", len(failed), *failed[0].Name)
	}
	if !eventually(waitTimeout, func() bool { return len(w.executions(t, types.ExecutionStatusRunning)) == 0 }) {
		t.Errorf("%d executions are still under way although there is nothing to do", len(w.executions(t, types.ExecutionStatusRunning)))
	}
	for _, r := range rounds {
		r.check(t)
	}
}

// afterSweep is how long what a sweep has started may take: a look as the
// shadow of somebody who may be alive, and the pauses after faults.
const afterSweep = 45 * time.Second

// missing is that of all rounds.
func (w *world) missing(rounds []*round) string {
	var lines []string
	for _, r := range rounds {
		if text := r.missing(); text != "" {
			lines = append(lines, r.name+": "+text)
		}
	}
	return strings.Join(lines, "; ")
}

// followingFails lets fanout append a tenant's last events and then fail. The
// stream has to hand them over again: there is nothing else that would.
func (w *world) liveDeliveryFails(t *testing.T) {
	r := w.newRound(t)
	to := r.register("one", nil)
	r.publish(1, 0)
	w.until(t, "it follows", func() bool { return r.lacks(to) == 0 && w.idle(t, r) })
	defer w.Front.Inject(front.Fault{Kind: front.Error500, Count: 8, Match: func(service, op string, body []byte) bool {
		return service == front.DynamoDB && op == "GetItem" && bytes.Contains(body, []byte("P#0#"+r.name)) && bytes.Contains(body, []byte("RECORD"))
	}})()
	r.publish(1, 0)
	w.until(t, "events arrive that fanout could not deliver at first, without a sweep", func() bool { return r.lacks(to) == 0 })
}

// answerIsLost lets the answers of two steps be lost. The steps were made, so
// the cursor is not where the execution left it, which must not end it.
func (w *world) answerIsLost(t *testing.T) {
	r := w.newRound(t)
	to := r.register("one", nil)
	w.until(t, "it follows", func() bool { return w.idle(t, r) })
	to.answers(func(n int, _ call) int {
		if n < 3 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	defer w.Front.Inject(front.Fault{Kind: front.TimeoutAfterSuccess, Count: 2, Match: func(service, _ string, body []byte) bool {
		return service == front.Lambda && bytes.Contains(body, []byte("wait_seconds")) && bytes.Contains(body, []byte(r.name))
	}})()
	r.publish(1, 0)
	w.until(t, "events arrive although answers of advance were lost, without a sweep", func() bool { return r.lacks(to) == 0 })
}

// idle reports that no execution is under way for a tenant.
func (w *world) idle(t *testing.T, r *round) bool {
	for _, x := range w.executions(t, types.ExecutionStatusRunning) {
		d, err := w.SFN.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: x.ExecutionArn})
		if err != nil || strings.Contains(*d.Input, r.name) {
			return false
		}
	}
	return true
}
