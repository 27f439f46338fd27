package asl

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"

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

// The SDK's client works against the server, and a name can be used only once.
func TestServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, calls := t.Context(), 0
		m := newMachine(t, steps(func(_ int, s *step) error { calls++; s.Next = "done"; return nil }))
		c := clientOf(m)
		startIt := func(machine, name, input string) (*sfn.StartExecutionOutput, error) {
			return c.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: &machine, Name: &name, Input: &input})
		}
		var exists *types.ExecutionAlreadyExists
		var foreign *types.StateMachineDoesNotExist
		if _, err := startIt(arn+"x", "a", `{}`); !errors.As(err, &foreign) {
			t.Errorf("of another machine: %v", err)
		}
		a, err := startIt(arn, "a", `{"wait_seconds":60}`)
		if err != nil || !a.StartDate.Equal(time.Now()) {
			t.Fatalf("%+v, %v", a, err)
		}
		if again, err := startIt(arn, "a", `{"wait_seconds":60}`); err != nil || *again.ExecutionArn != *a.ExecutionArn {
			t.Errorf("the same again: %+v, %v", again, err)
		}
		if _, err := startIt(arn, "a", `{"wait_seconds":61}`); !errors.As(err, &exists) {
			t.Errorf("its name with another input: %v", err)
		}
		b, err := startIt(arn, "b", `{"wait_seconds":3600}`)
		if err != nil {
			t.Fatal(err)
		}
		pass(61 * time.Second)
		if _, err := startIt(arn, "a", `{"wait_seconds":60}`); !errors.As(err, &exists) {
			t.Errorf("the name of one that ended: %v", err)
		}
		if _, err := c.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: b.ExecutionArn, Error: aws.String("E")}); err != nil {
			t.Error(err)
		}
		var missing *types.ExecutionDoesNotExist
		if _, err := c.StopExecution(ctx, &sfn.StopExecutionInput{ExecutionArn: aws.String("x")}); !errors.As(err, &missing) {
			t.Errorf("stop what is not there: %v", err)
		}
		pass(2 * time.Hour)
		x, err := c.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: b.ExecutionArn})
		if err != nil || x.Status != types.ExecutionStatusAborted || *x.Error != "E" || *x.Input != `{"wait_seconds":3600}` || x.StopDate.Sub(*x.StartDate) != 61*time.Second {
			t.Errorf("the stopped one: %+v, %v", x, err)
		}
		for status, want := range map[types.ExecutionStatus]string{types.ExecutionStatusSucceeded: "a", types.ExecutionStatusRunning: "", "": "a b"} {
			list, err := c.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: aws.String(arn), StatusFilter: status})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, x := range list.Executions {
				names = append(names, *x.Name)
			}
			if got := strings.Join(names, " "); got != want {
				t.Errorf("executions with status %q: %s, want %s", status, got, want)
			}
		}
		if _, err := c.ListStateMachines(ctx, &sfn.ListStateMachinesInput{}); err == nil || !strings.Contains(err.Error(), "UnknownOperation") {
			t.Errorf("another call: %v", err)
		}
		if calls != 1 {
			t.Errorf("%d steps, want one: the other execution was stopped", calls)
		}
	})
}

// moto's interpreter runs the deployed definition like this one: with the same
// retries, renewals and number of history events.
func TestMotoAgrees(t *testing.T) {
	// function fails once. The second step of all is the last.
	function := func() invokeFunc {
		var calls atomic.Int32
		return func(payload []byte) ([]byte, string, error) {
			if calls.Add(1) == 1 {
				return []byte(`{"errorType":"Unavailable","errorMessage":"The records cannot be read."}`), "Unhandled", nil
			}
			var s step
			if err := json.Unmarshal(payload, &s); err != nil {
				return nil, "", err
			}
			s.Renewal = "renewed"
			if s.Count++; s.Count == 1 {
				s.Next = "done"
			}
			result, err := json.Marshal(s)
			return result, "", err
		}
	}
	f := front.Start(t, 1)
	f.Invoke(function())
	moto := sfn.NewFromConfig(f.Config())
	if _, err := moto.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
		Name: aws.String("delivery"), Definition: aws.String(string(deployed(t))), RoleArn: aws.String("arn:aws:iam::" + emulators.Account + ":role/delivery"),
	}); err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, function())
	m.jitter = func() float64 { return 0 }
	want := map[string]int{"orders-0": 1 + 2*9 + 3 + 5 + 2 + 1, "renewed": 1 + 9 + 2 + 1} // two steps, a retry and the renewal; a step
	if diff := cmp.Diff(want, play(t, moto)); diff != "" {
		t.Errorf("events of moto's executions (-want +got)\n%s", diff)
	}
	play(t, clientOf(m))
	got := map[string]int{}
	for _, x := range m.Executions(types.ExecutionStatusSucceeded) {
		got[x.Name] = x.Events
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events of this one's executions (-want +got)\n%s", diff)
	}
}

// play lets an execution renew itself once and returns the number of history
// events of both, if the service reports it, when both have succeeded.
func play(t *testing.T, client *sfn.Client) map[string]int {
	t.Helper()
	input := first
	input.Count = limit - 2
	if _, err := client.StartExecution(t.Context(), &sfn.StartExecutionInput{
		StateMachineArn: aws.String(arn), Name: aws.String("orders-0"), Input: aws.String(string(encode(input))),
	}); err != nil {
		t.Fatal(err)
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	events := map[string]int{}
	for deadline := time.Now().Add(20 * time.Second); len(events) < 2 && time.Now().Before(deadline); <-ticker.C {
		done, err := client.ListExecutions(t.Context(), &sfn.ListExecutionsInput{StateMachineArn: aws.String(arn), StatusFilter: types.ExecutionStatusSucceeded})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range done.Executions {
			history, err := client.GetExecutionHistory(t.Context(), &sfn.GetExecutionHistoryInput{ExecutionArn: x.ExecutionArn, MaxResults: 1000})
			events[*x.Name] = 0
			if err == nil {
				events[*x.Name] = len(history.Events)
			}
		}
	}
	return events
}
