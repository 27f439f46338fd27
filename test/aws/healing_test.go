package aws

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/test/aws/front"
)

// heal checks the deployment's promise: once the faults have ended, nothing is
// missing after one sweep. A sweep starts cursors that are overdue by the world's
// quietAfter; a lost step holds its lease for as long, and if it writes a file a PartTimeout longer.
func (w *world) heal(t *testing.T, rounds ...*round) {
	t.Helper()
	whole := func() bool { return w.missing(rounds) == "" }
	if !eventually(2*w.quietAfter+sink.PartTimeout+time.Second, whole) {
		t.Logf("left for the sweep: %s", w.missing(rounds))
	}
	if err := w.Sweep(t.Context()); err != nil {
		t.Errorf("the sweep failed after the faults had ended: %v", err)
	}
	for missing := w.missing(rounds); missing != ""; missing = w.missing(rounds) {
		if !eventually(afterSweep, func() bool { return w.missing(rounds) != missing }) {
			t.Errorf("one sweep was not enough: %s", missing)
			return
		}
	}
	w.until(t, "the stream is drained", w.Poller.Idle)
	if d := w.Poller.Stats().Discarded; d > 0 {
		t.Errorf("%d records were given up", d)
	}
	if failed := w.executions(t, types.ExecutionStatusFailed); len(failed) > 0 {
		t.Errorf("%d executions failed, one of them is %s", len(failed), *failed[0].ExecutionArn)
	}
	if !eventually(waitTimeout, func() bool { return len(w.executions(t, types.ExecutionStatusRunning)) == 0 }) {
		t.Errorf("%d executions are still running with nothing to do", len(w.executions(t, types.ExecutionStatusRunning)))
	}
	if !eventually(waitTimeout+hidden, func() bool { return w.Queue.Waiting("") == 0 }) {
		t.Errorf("%d messages are left with nothing to do", w.Queue.Waiting(""))
	}
	if dead := w.Queue.Dead(); len(dead) > 0 {
		t.Errorf("%d messages were given up, one of them is %s", len(dead), dead[0])
	}
	for _, r := range rounds {
		r.check(t)
	}
}

// hidden is how long the queue hides a message whose step was killed.
const hidden = 200 * time.Second

// afterSweep limits how long the executions that a sweep starts may be without any
// progress. It includes one shadow step, since the lost execution may be alive, and the
// delays after faults, and all of that beside other tests. Nothing but the sweep heals, so
// a long wait hides nothing.
const afterSweep = 2 * time.Minute

// missing returns what is missing in the rounds, or "".
func (w *world) missing(rounds []*round) string {
	var lines []string
	for _, r := range rounds {
		if text := r.missing(); text != "" {
			lines = append(lines, r.name+": "+text)
		}
	}
	return strings.Join(lines, "; ")
}

// liveDeliveryFails makes fanout append a tenant's last events and then fail. The
// stream must redeliver them: nothing else does.
func (w *world) liveDeliveryFails(t *testing.T) {
	r := w.newRound(t)
	to := r.register("one", nil)
	r.publish(1, 0)
	w.until(t, "it is live", func() bool { return r.lacks(to) == 0 && w.idle(t, r) })
	defer w.Front.Inject(front.Fault{Kind: front.Error500, Count: 8, Match: func(service, op string, body []byte) bool {
		return service == front.DynamoDB && op == "GetItem" && bytes.Contains(body, []byte("P#0#"+r.name)) && bytes.Contains(body, []byte("RECORD"))
	}})()
	r.publish(1, 0)
	w.until(t, "without a sweep, events arrive that fanout failed to deliver at first", func() bool { return r.lacks(to) == 0 })
}

// responseIsLost loses the responses of two steps. The steps ran, so the cursor is
// ahead of the execution, which must continue anyway.
func (w *world) responseIsLost(t *testing.T) {
	r := w.newRound(t)
	to := r.register("one", nil)
	w.until(t, "it is live", func() bool { return w.idle(t, r) })
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
	w.until(t, "without a sweep, events arrive although responses of advance were lost", func() bool { return r.lacks(to) == 0 })
}

// idle reports whether no execution is running for a round's tenant, and no message waits.
func (w *world) idle(t *testing.T, r *round) bool {
	if w.Queue.Waiting(r.name) > 0 {
		return false
	}
	for _, x := range w.executions(t, types.ExecutionStatusRunning) {
		d, err := w.SFN.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: x.ExecutionArn})
		if err != nil || strings.Contains(*d.Input, r.name) {
			return false
		}
	}
	return true
}
