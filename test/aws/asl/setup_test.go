package asl_test

import (
	"context"
	"encoding/json"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"

	"github.com/sluicehq/sluice/internal/statemachine"
	"github.com/sluicehq/sluice/test/aws/asl"
)

const (
	machine = "arn:aws:states:eu-central-1:000000000000:stateMachine:delivery"
	advance = "arn:aws:lambda:eu-central-1:000000000000:function:advance"
)

// What the definition says.
const (
	limit   = 250 // steps of one execution
	retries = 16
)

// deployed is the text of the definition that is deployed.
func deployed(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("../../../statemachine/delivery.asl.json")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var substitutions = map[string]string{"AdvanceFunctionArn": advance, "StateMachineArn": machine}

// newService returns a service with the deployed state machine over a function.
func newService(t testing.TB, o asl.Options, function invokeFunc) *asl.Service {
	t.Helper()
	o.Lambda = asl.Lambda(function)
	s := asl.New(o)
	t.Cleanup(s.Close)
	d, err := asl.Parse(deployed(t), substitutions)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Create(machine, d); err != nil {
		t.Fatal(err)
	}
	return s
}

// invokeFunc is an Invoker of the one function advance.
type invokeFunc func(ctx context.Context, payload []byte) (result []byte, functionError string, err error)

func (f invokeFunc) Invoke(ctx context.Context, function string, payload []byte) ([]byte, string, error) {
	if function != advance {
		return nil, "", &asl.Error{Name: "Lambda.ResourceNotFoundException", Cause: function}
	}
	return f(ctx, payload)
}

// step is the data of the state machine.
type step = statemachine.State

var first = step{Tenant: "acme", Integration: "orders", Lane: 1, Version: "18446744073709551615", Shadow: true, Next: "wait"}

// steps is a function that counts, and names renewals by the number of the
// step; do says what the step with that number comes to.
func steps(do func(number int, s *step) error) invokeFunc {
	number := 0 // one execution after the other: no two calls at a time
	return func(_ context.Context, payload []byte) ([]byte, string, error) {
		var s step
		if err := json.Unmarshal(payload, &s); err != nil {
			return nil, "", err
		}
		if err := do(number+1, &s); err != nil {
			return nil, "", err
		}
		number++
		s.Count++
		s.Renewal = "orders-" + strconv.Itoa(number)
		result, err := json.Marshal(s)
		return result, "", err
	}
}

// start starts the execution called orders-0.
func start(t testing.TB, s *asl.Service) asl.Execution {
	t.Helper()
	input, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	x, err := s.Start(machine, "orders-0", input)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// executions returns all of the machine, the oldest first.
func executions(t testing.TB, s *asl.Service) []asl.Execution {
	t.Helper()
	all, err := s.List(machine, "")
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(all)
	return all
}

// running returns how many executions run.
func running(t testing.TB, s *asl.Service) int {
	t.Helper()
	all, err := s.List(machine, asl.Running)
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func underRaceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
