package asl

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/sluicehq/sluice/test/aws/emulators"
)

// inProcess serves requests by a handler, without a network, so that it works in a
// synctest bubble.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

func clientOf(m *Machine) *sfn.Client {
	config := emulators.Config("http://states.invalid")
	config.HTTPClient = &http.Client{Transport: inProcess{m}}
	return sfn.NewFromConfig(config)
}

// The SDK's client works against the server, a name can be used only once, and a
// stopped execution makes no more steps.
func TestServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, calls := t.Context(), 0
		c := clientOf(newMachine(t, steps(func(_ int, s *step) error { calls++; s.Next = "done"; return nil })))
		start := func(machine, name, input string) (*sfn.StartExecutionOutput, error) {
			return c.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: &machine, Name: &name, Input: &input})
		}
		_, errA := start(arn, "a", `{"wait_seconds":60}`)
		b, errB := start(arn, "b", `{"wait_seconds":3600}`)
		if err := errors.Join(errA, errB); err != nil {
			t.Fatal(err)
		}
		pass(61 * time.Second)
		if _, err := start(arn, "a", `{"wait_seconds":60}`); !errors.As(err, new(*types.ExecutionAlreadyExists)) {
			t.Errorf("a name again: %v", err)
		}
		if _, err := start(arn+"x", "c", `{}`); err == nil {
			t.Error("an execution of another machine was started")
		}
		if _, err := c.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: b.ExecutionArn}); err != nil {
			t.Error(err)
		}
		pass(2 * time.Hour)
		x, err := c.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: b.ExecutionArn})
		if err != nil || x.Status != types.ExecutionStatusAborted || *x.Input != `{"wait_seconds":3600}` || calls != 1 {
			t.Errorf("the stopped one: %+v, %v, after %d steps", x, err, calls)
		}
		for status, want := range map[types.ExecutionStatus]int{types.ExecutionStatusSucceeded: 1, types.ExecutionStatusRunning: 0, "": 2} {
			list, err := c.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: aws.String(arn), StatusFilter: status})
			if err != nil || len(list.Executions) != want {
				t.Errorf("executions with status %q: %+v, %v", status, list, err)
			}
		}
	})
}
