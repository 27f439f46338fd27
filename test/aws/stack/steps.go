package stack

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/sluicehq/sluice/test/aws/queue"
)

// stepsURL names the queue; the front does not look at it.
const stepsURL = "http://queue.invalid/steps"

// openQueue starts the queue and its event source mapping.
func (s *Stack) openQueue(t testing.TB, definition *template, o Options) error {
	mapping, err := definition.functions["advance"].mapping("SQS")
	if err != nil {
		return err
	}
	if mapping.Properties.BatchSize != 1 {
		return fmt.Errorf("the batches of the queue are of %d; this stack invokes advance for each message", mapping.Properties.BatchSize)
	}
	atOnce, err := strconv.Atoi(definition.defaults["StepsAtOnce"])
	if err != nil {
		return err
	}
	s.Queue = queue.New(queue.Options{
		Function: "advance", AtOnce: atOnce,
		VisibilityTimeout: seconds(definition.steps.VisibilityTimeout), MaxReceiveCount: definition.steps.RedrivePolicy.MaxReceiveCount,
		Invoke: func(ctx context.Context, function string, payload []byte) ([]byte, string, error) {
			return s.invoker(o).Invoke(ctx, function, payload)
		},
	})
	t.Cleanup(s.Queue.Close)
	return nil
}
