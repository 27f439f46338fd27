package aws

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/sluicehq/sluice/test/aws/emulators"
	"github.com/sluicehq/sluice/test/aws/front"
	"github.com/sluicehq/sluice/test/aws/stack"
)

// TestDeadLetters makes fanout fail for a tenant until the event source mapping
// gives up. An operator redrives the dead-lettered batches, and all events arrive.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Options{Interpreter: true, RecordAge: 3 * time.Second})
	r := w.newRound(t)
	separate := w.newRoundInOtherLane(t, r)
	to, other := r.register("one", nil), separate.register("one", nil)
	r.publish(3, 0)
	w.until(t, "all arrived", func() bool { return r.lacks(to) == 0 })
	repair := w.Front.Inject(front.Fault{Kind: front.Error500, Match: func(service, op string, body []byte) bool {
		return service == front.DynamoDB && op == "PutItem" && bytes.Contains(body, []byte("S#0#"+r.name))
	}})
	r.publish(3, 0)
	r.publish(3, 0)
	separate.publish(3, 0)
	w.until(t, "the other tenant's events arrived", func() bool { return separate.lacks(other) == 0 })
	w.until(t, "the batches that cannot be appended are dead-lettered", func() bool { return w.waiting(t) > 0 && w.Poller.Idle() })
	repair()
	if n := r.lacks(to); n != 6 {
		t.Fatalf("%d events wait for a redrive, want 6", n)
	}
	if d := w.Poller.Stats().Discarded; d != 2 {
		t.Errorf("%d records were dead-lettered, want 2", d)
	}
	w.redrive(t)
	w.until(t, "all arrived", func() bool { return r.lacks(to) == 0 })
	w.until(t, "the stream is drained", w.Poller.Idle)
	if n := w.waiting(t); n > 0 {
		t.Errorf("%d messages are still in the queue", n)
	}
}

// waiting returns the number of messages in the dead-letter queue.
func (w *world) waiting(t *testing.T) int {
	t.Helper()
	out, err := w.SQS.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &w.Queue, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
	if err != nil {
		t.Fatal(err)
	}
	if out.Attributes["ApproximateNumberOfMessages"] == "0" && out.Attributes["ApproximateNumberOfMessagesNotVisible"] == "0" {
		return 0
	}
	return 1
}

// redrive runs cmd/redrive as an operator does.
func (w *world) redrive(t *testing.T) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "redrive")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/sluicehq/sluice/cmd/redrive").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), path, "--stream", w.Stream, "--queue", w.Queue, "--yes")
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+w.Front.URL(), "AWS_REGION="+emulators.Region,
		"AWS_ACCESS_KEY_ID=AKIDTEST", "AWS_SECRET_ACCESS_KEY=test")
	out, err := cmd.CombinedOutput()
	t.Logf("redrive: %s", out)
	if err != nil {
		t.Fatalf("redrive: %v", err)
	}
}
