package asl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
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
	limit   = 250 // steps of one execution
	retries = 16
)

// step is the data of the state machine.
type step = statemachine.State

var first = step{Tenant: "acme", Integration: "orders", Lane: 1, Version: "18446744073709551615", Shadow: true, Next: "wait"}

// deployed returns the deployed definition.
func deployed(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../../../statemachine/delivery.asl.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(Fill(text, arn, advance))
}

// newMachine returns the deployed state machine.
func newMachine(t testing.TB, function Invoke) *Machine {
	t.Helper()
	m, err := New(arn, []byte(deployed(t)), function)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// steps is a function that counts its steps and names renewals by step number; do
// changes the result of the step with that number, or fails it.
func steps(do func(number int, s *step) error) Invoke {
	number := 0 // executions run one after the other: no concurrent calls
	return func(_ context.Context, function string, payload []byte) ([]byte, string, error) {
		var s step
		if err := json.Unmarshal(payload, &s); err != nil || function != advance {
			return nil, "", fmt.Errorf("the function %s got %s", function, payload)
		}
		if err := do(number+1, &s); err != nil {
			return encode(map[string]string{"errorMessage": err.Error()}), "Unhandled", nil
		}
		number++
		s.Count++
		s.Renewal = "orders-" + strconv.Itoa(number)
		return encode(s), "", nil
	}
}

// start starts the execution named orders-0.
func start(t testing.TB, m *Machine, input step) {
	t.Helper()
	if _, failed := m.start(arn, "orders-0", string(encode(input))); failed != nil {
		t.Fatal(failed)
	}
}

// pass lets time pass in a bubble and waits until every goroutine is blocked.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// wantSucceeded fails unless there are n executions and all have succeeded.
func wantSucceeded(t testing.TB, m *Machine, n int) {
	t.Helper()
	if all, good := m.list("", ""), m.list("", types.ExecutionStatusSucceeded); len(all) != n || len(good) != n {
		t.Errorf("executions %+v, want %d that succeeded", all, n)
	}
}

// Three days of back-off: each step runs once, on time and with all of its data, and
// executions are renewed after 250 steps. If the response of a renewal is lost, it is
// requested again, and starts no other execution.
func TestDaysOfBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 5 * time.Minute
		const many = 3*24*int(time.Hour/delay) + 1
		began, made, asked := time.Now(), 0, 0
		m := newMachine(t, steps(func(number int, got *step) error {
			made = number
			want := first
			want.Count, want.Renewal, want.WaitSeconds = (number-1)%limit, got.Renewal, got.WaitSeconds
			if at := time.Since(began); *got != want || at != time.Duration(number-1)*delay {
				t.Errorf("step %d got %+v at %v", number, *got, at)
			}
			if got.WaitSeconds = int(delay / time.Second); number == many {
				got.Next = "done"
			}
			return nil
		}))
		m.renew = func(machine, name, input string) (any, *Error) {
			output, failed := m.start(machine, name, input)
			if asked++; asked%3 == 1 {
				return nil, &Error{"StepFunctions.SdkClientException", "the connection broke"}
			}
			return output, failed
		}
		start(t, m, first)
		pass(30 * 24 * time.Hour)
		if made != many || asked != 5 {
			t.Errorf("%d steps, want %d; 3 renewals were requested %d times, want 5", made, many, asked)
		}
		wantSucceeded(t, m, many/limit+1)
	})
}

// The events in the history of an execution. A state is entered and exited, and a task
// also scheduled, started and succeeded; a retry is failed, scheduled and started.
const ofStart, ofStep, ofRetry, ofRenewal, ofEnd = 1, 9, 3, 5, 3

// The history, of at most 25,000 events, does not fill up even if each step and the
// renewal need their last retry.
func TestWorstHistory(t *testing.T) {
	states := newMachine(t, nil).definition.States
	worst := func(task string) int { return ofRetry * states[task].Retry[len(states[task].Retry)-1].MaxAttempts }
	steps := int(*states["Decide"].Choices[1].NumericGreaterThanEquals)
	if events := ofStart + steps*(ofStep+worst("Advance")) + ofRenewal + worst("Renew") + ofEnd; events > 25_000*3/5 {
		t.Errorf("%d events", events)
	}
}

// A task that fails, in whatever way, is retried at random, with growing delays, and
// then fails the execution with its last error. A call without a response is given up
// after the time-out. A response of another release fails the execution at once.
func TestFailures(t *testing.T) {
	const delays = (511 + 7*300) * time.Second / 2 // half of 1, 2, 4 ... 256 and 7 times 300 seconds
	for name, c := range map[string]struct {
		function Invoke
		calls    int
		takes    time.Duration // until the last call
		cause    string
	}{
		"not invoked": {func(context.Context, string, []byte) ([]byte, string, error) {
			return nil, "", errors.New("throttled")
		}, 1 + retries, delays, "throttled"},
		"failed": {steps(func(int, *step) error { return errors.New("out of memory") }), 1 + retries, delays, "out of memory"},
		"no response": {func(ctx context.Context, _ string, _ []byte) ([]byte, string, error) {
			<-ctx.Done()
			return nil, "", ctx.Err()
		}, 1 + retries, delays + retries*240*time.Second, "deadline"},
		"not renewed":     {steps(func(_ int, s *step) error { s.Count = limit; return nil }), 1 + 1 + retries, delays, "too many"},
		"another release": {steps(func(_ int, s *step) error { s.Next = "later"; return nil }), 1, 0, "different releases"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, calls, last := time.Now(), 0, time.Duration(0)
				call := func() { calls, last = calls+1, time.Since(began) }
				m := newMachine(t, func(ctx context.Context, function string, payload []byte) ([]byte, string, error) {
					call()
					return c.function(ctx, function, payload)
				})
				m.renew = func(_, _, _ string) (any, *Error) {
					call()
					return nil, &Error{"StepFunctions.ExecutionLimitExceededException", "too many"}
				}
				m.jitter = func() float64 { return 0.5 }
				start(t, m, first)
				pass(24 * time.Hour)
				failed := m.list("", types.ExecutionStatusFailed)
				if len(failed) != 1 || !strings.Contains(failed[0].err.Error(), c.cause) || calls != c.calls || last != c.takes {
					t.Errorf("after %d calls in %v %+v", calls, last, m.list("", ""))
				}
			})
		})
	}
}

// What is valid but not supported is refused, never run in part.
func TestUnsupportedIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ old, replaced, want string }{
		"field of a state":        {`"SecondsPath"`, `"TimestampPath"`, "TimestampPath"},
		"field of a catcher":      {`"Catch": [`, `"Catch": [{"ErrorEquals": ["A"], "ResultPath": "$.e", "Next": "Done"},`, "ResultPath"},
		"comparison":              {`"StringEquals"`, `"StringMatches"`, "StringMatches"},
		"parameter of a resource": {`"Payload.$": "$"`, `"Payload.$": "$", "InvocationType": "Event"`, "InvocationType"},
		"resource":                {`arn:aws:states:::lambda:invoke`, `arn:aws:states:::sqs:sendMessage`, "sqs:sendMessage"},
		"type":                    {`"Type": "Choice"`, `"Type": "Pass"`, "Pass"},
		"path of an index":        {`"$.next"`, `"$.next[0]"`, "$.next[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			definition := strings.Replace(deployed(t), c.old, c.replaced, 1)
			m, err := New(arn, []byte(definition), steps(func(_ int, s *step) error { s.Count = limit; return nil }))
			defer func() {
				if why := fmt.Sprint(err, recover()); !strings.Contains(why, c.want) {
					t.Errorf("refused by %q, want %q", why, c.want)
				}
			}()
			if err == nil {
				err = m.run(t.Context(), encode(first))
			}
		})
	}
}
