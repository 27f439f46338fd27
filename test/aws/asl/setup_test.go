package asl

import (
	"context"
	"encoding/json"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/sluicehq/sluice/internal/statemachine"
	"github.com/sluicehq/sluice/test/aws/emulators"
)

func TestMain(m *testing.M) { os.Exit(emulators.Run(m)) }

const (
	arn     = "arn:aws:states:" + emulators.Region + ":" + emulators.Account + ":stateMachine:delivery"
	advance = "arn:aws:lambda:" + emulators.Region + ":" + emulators.Account + ":function:advance"
)

// Values in the definition.
const (
	limit   = 250 // steps of one execution
	retries = 16
)

// deployed returns the deployed definition.
func deployed(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("../../../statemachine/delivery.asl.json")
	if err != nil {
		t.Fatal(err)
	}
	return Fill(text, arn, advance)
}

// newMachine returns the deployed state machine over a function.
func newMachine(t testing.TB, function invokeFunc) *Machine {
	t.Helper()
	m, err := New(arn, deployed(t), function)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// invokeFunc is an Invoker of one function.
type invokeFunc func(payload []byte) (result []byte, functionError string, err error)

func (f invokeFunc) Invoke(_ context.Context, _ string, payload []byte) ([]byte, string, error) {
	return f(payload)
}

// step is the data of the state machine.
type step = statemachine.State

var first = step{Tenant: "acme", Integration: "orders", Lane: 1, Version: "18446744073709551615", Shadow: true, Next: "wait"}

// steps is a function that counts its steps and names renewals by step number; do
// returns the result of the step with that number.
func steps(do func(number int, s *step) error) invokeFunc {
	number := 0 // executions run one after the other: no concurrent calls
	return func(payload []byte) ([]byte, string, error) {
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

// start starts the execution named orders-0.
func start(t testing.TB, m *Machine) {
	t.Helper()
	if _, err := m.Start("orders-0", encode(first)); err != nil {
		t.Fatal(err)
	}
}

// pass lets time pass in a bubble and waits until every goroutine is blocked.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// wantSucceeded fails unless there are n executions and all have succeeded.
func wantSucceeded(t testing.TB, m *Machine, n int) []Execution {
	t.Helper()
	all := m.Executions("")
	if len(all) != n {
		t.Fatalf("%d executions, want %d", len(all), n)
	}
	for _, x := range all {
		if x.Status != types.ExecutionStatusSucceeded {
			t.Errorf("%s is %s: %s %s", x.Name, x.Status, x.Error, x.Cause)
		}
	}
	return all
}
