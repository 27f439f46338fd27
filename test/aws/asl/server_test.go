package asl

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/internal/backoff"
	"github.com/sluicehq/sluice/test/aws/emulators"
	"github.com/sluicehq/sluice/test/aws/front"
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

type invoker Invoke

func (i invoker) Invoke(ctx context.Context, function string, payload []byte) ([]byte, string, error) {
	return i(ctx, function, payload)
}

// moto's interpreter runs the deployed definition like this one, with the same data,
// retries and renewals, and its histories have the events that TestWorstHistory counts.
func TestMotoAgrees(t *testing.T) {
	// The function fails once. The third step of all is the last.
	function := func(got chan step) Invoke {
		return steps(func(number int, s *step) error {
			if got <- *s; len(got) == 1 {
				return errors.New("not yet")
			}
			if number == 3 {
				s.Next = "done"
			}
			return nil
		})
	}
	motos, ours := make(chan step, 4), make(chan step, 4)
	f := front.Start(t, 1)
	f.Invoke(invoker(function(motos)))
	input := first
	input.Count = limit - 2
	want := map[string]int{"orders-0": ofStart + 2*ofStep + ofRetry + ofRenewal + ofEnd, "orders-2": ofStart + ofStep + ofEnd}
	if diff := cmp.Diff(want, play(t, sfn.NewFromConfig(f.Config()), string(encode(input)))); diff != "" {
		t.Errorf("events of moto's executions (-want +got)\n%s", diff)
	}
	m := newMachine(t, function(ours))
	start(t, m, input)
	m.running.Wait()
	wantSucceeded(t, m, 2)
	for call := range 4 {
		if diff := cmp.Diff(<-motos, <-ours); diff != "" {
			t.Errorf("call %d (-moto +ours)\n%s", call, diff)
		}
	}
}

// play runs an execution that renews itself once, and returns the number of history
// events of both when both have succeeded.
func play(t *testing.T, moto *sfn.Client, input string) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // only a failure takes that long
	defer cancel()
	must := func(err error) {
		if t.Helper(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := moto.CreateStateMachine(ctx, &sfn.CreateStateMachineInput{
		Name: aws.String("delivery"), Definition: aws.String(deployed(t)), RoleArn: aws.String("arn:aws:iam::" + emulators.Account + ":role/delivery"),
	})
	must(err)
	_, err = moto.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: aws.String(arn), Name: aws.String("orders-0"), Input: &input})
	must(err)
	events := map[string]int{}
	for len(events) < 2 {
		must(backoff.Wait(ctx, 20*time.Millisecond))
		done, err := moto.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: aws.String(arn), StatusFilter: types.ExecutionStatusSucceeded})
		must(err)
		for _, x := range done.Executions {
			history, err := moto.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: x.ExecutionArn, MaxResults: 1000})
			must(err)
			events[*x.Name] = len(history.Events)
		}
	}
	return events
}
