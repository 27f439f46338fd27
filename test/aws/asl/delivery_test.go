package asl

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"
)

// Three days of back-off: each step runs on time with all of its data, one
// execution runs at a time, and each is renewed before its history is full.
func TestDaysOfBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 5 * time.Minute
		const many = 3*24*time.Hour/delay + 1
		began, made := time.Now(), 0
		var m *Machine
		m = newMachine(t, steps(func(number int, got *step) error {
			made = number
			want := first
			want.Count, want.Renewal, want.WaitSeconds = got.Count, got.Renewal, got.WaitSeconds
			if at := time.Since(began); *got != want || at != time.Duration(number-1)*delay {
				t.Errorf("step %d got %+v at %v", number, *got, at)
			}
			if n := len(m.Executions(types.ExecutionStatusRunning)); n != 1 {
				t.Errorf("at step %d %d executions run", number, n)
			}
			got.WaitSeconds = int(delay / time.Second)
			if number == int(many) {
				got.Next = "done"
			}
			return nil
		}))
		start(t, m)
		pass(30 * 24 * time.Hour)
		if made != int(many) {
			t.Errorf("%d steps, want %d", made, many)
		}
		for i, x := range wantSucceeded(t, m, int(many)/limit+1) {
			// The start, 9 for each step, 5 of the renewal, 2 of Done, the end.
			want := 1 + limit*9 + 5 + 2 + 1
			if i == int(many)/limit {
				want = 1 + int(many)%limit*9 + 2 + 1
			}
			if x.Events != want {
				t.Errorf("the history of %s has %d events, want %d", x.Name, x.Events, want)
			}
		}
	})
}

// The history does not fill up even if each step and the renewal need their last
// retry.
func TestWorstHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failures := 0
		m := newMachine(t, steps(func(number int, s *step) error {
			if failures++; failures%(retries+1) != 0 {
				return errors.New("the store is down")
			}
			if number > limit {
				s.Next = "done"
			}
			return nil
		}))
		tries := 0
		m.tasks[startExecution] = func(input map[string]any) (any, error) {
			if tries++; tries <= retries {
				return nil, &Error{"StepFunctions.SdkClientException", "down too"}
			}
			return m.renew(input)
		}
		start(t, m)
		pass(2 * 365 * 24 * time.Hour)
		got := wantSucceeded(t, m, 2)[0].Events
		if want := 1 + limit*(9+3*retries) + 5 + 3*retries + 2 + 1; got != want || want > maxEvents*3/5 {
			t.Errorf("%d events, want %d", got, want)
		}
	})
}

// A full history fails the execution.
func TestFullHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, func(payload []byte) ([]byte, string, error) { return payload, "", nil }) // count stays 0
		start(t, m)
		synctest.Wait()
		x := m.Executions("")[0]
		if x.Status != types.ExecutionStatusFailed || x.Events > maxEvents || x.Events < maxEvents-3 {
			t.Errorf("%s after %d events: %s", x.Status, x.Events, x.Cause)
		}
	})
}

// Every failure of the function is retried.
func TestFaultsAreRetried(t *testing.T) {
	failed := func(result string) invokeFunc {
		return func([]byte) ([]byte, string, error) { return []byte(result), "Unhandled", nil }
	}
	for name, c := range map[string]struct {
		fault invokeFunc
		takes time.Duration
	}{
		"not invoked":           {func([]byte) ([]byte, string, error) { return nil, "", errors.New("throttled") }, 0},
		"error of the function": {failed(`{"errorType":"Error","errorMessage":"The records cannot be read."}`), 0},
		"killed":                {failed(`{"errorType":"Runtime.ExitError","errorMessage":"signal: killed"}`), 0},
		"nothing of the kind":   {failed(`oops`), 0},
		"no response": {func([]byte) ([]byte, string, error) {
			time.Sleep(time.Hour)
			return []byte(`{}`), "", nil
		}, 240 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var mu sync.Mutex // a call that timed out goes on
				var at []time.Duration
				end := steps(func(_ int, s *step) error { s.Next = "done"; return nil })
				m := newMachine(t, func(payload []byte) ([]byte, string, error) {
					mu.Lock()
					at = append(at, time.Since(began))
					call := len(at)
					mu.Unlock()
					if call < 3 {
						return c.fault(payload)
					}
					return end(payload)
				})
				m.jitter = func() float64 { return 0.5 }
				start(t, m)
				pass(2 * time.Hour)
				wantSucceeded(t, m, 1)
				want := []time.Duration{0, c.takes + 500*time.Millisecond, 2*c.takes + 1500*time.Millisecond}
				if diff := cmp.Diff(want, at); diff != "" {
					t.Errorf("calls at (-want +got)\n%s", diff)
				}
			})
		})
	}
}

// A function that keeps failing fails the execution with its last error.
func TestExhaustion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		m := newMachine(t, func([]byte) ([]byte, string, error) {
			calls++
			return []byte(`{"errorType":"Unavailable","errorMessage":"The records cannot be read."}`), "Unhandled", nil
		})
		m.jitter = func() float64 { return 0.5 }
		start(t, m)
		pass(24 * time.Hour)
		x := m.Executions("")[0]
		if x.Status != types.ExecutionStatusFailed || x.Error != "Unavailable" || calls != retries+1 {
			t.Errorf("after %d calls %s: %s %s", calls, x.Status, x.Error, x.Cause)
		}
		// Half of 1, 2, 4 ... 256 and 7 times 300 seconds.
		if d, want := x.Stopped.Sub(x.Started), (511+7*300)*time.Second/2; d != want {
			t.Errorf("gave up after %v, want %v", d, want)
		}
	})
}

// A malformed response fails the execution immediately, with a cause.
func TestMalformedResponses(t *testing.T) {
	for name, c := range map[string]struct{ answer, cause string }{
		"null":            {`null`, "$.next"},
		"not JSON":        {`done`, "$.next"},
		"empty":           {`{}`, "$.next"},
		"no count":        {`{"next":"wait","wait_seconds":1}`, "$.count"},
		"no wait":         {`{"next":"wait","count":1}`, "$.wait_seconds"},
		"part of seconds": {`{"next":"wait","count":1,"wait_seconds":1.5}`, "whole seconds"},
		"negative wait":   {`{"next":"wait","count":1,"wait_seconds":-1}`, "whole seconds"},
		"wait as text":    {`{"next":"wait","count":1,"wait_seconds":"1"}`, "whole seconds"},
		"unknown next":    {`{"next":"later","count":1,"wait_seconds":1}`, "different releases"},
		"no renewal":      {`{"next":"wait","count":250,"wait_seconds":1}`, "matches nothing"},
		"renewal's name":  {`{"tenant":"a","integration":"b","lane":1,"version":"1","shadow":true,"next":"wait","count":250,"wait_seconds":1,"renewal":""}`, "no name"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				m := newMachine(t, func([]byte) ([]byte, string, error) { calls++; return []byte(c.answer), "", nil })
				start(t, m)
				pass(24 * time.Hour)
				x := m.Executions("")[0]
				if x.Status != types.ExecutionStatusFailed || !strings.Contains(x.Cause, c.cause) || calls != 1 {
					t.Errorf("after %d calls %s: %s %s, want %q", calls, x.Status, x.Error, x.Cause, c.cause)
				}
			})
		})
	}
}

// A renewal starts one execution, no matter how often it is requested and which
// response is lost.
func TestRenewalWithLostResponse(t *testing.T) {
	for name, delay := range map[string]int{"the new one runs": 3600, "the new one has ended": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				made, asked := 0, 0
				m := newMachine(t, steps(func(number int, s *step) error {
					if made = number; number == limit {
						s.WaitSeconds = delay
					}
					if number == limit+1 {
						s.Next = "done"
					}
					return nil
				}))
				m.tasks[startExecution] = func(input map[string]any) (any, error) {
					result, err := m.renew(input)
					if asked++; asked == 1 {
						return nil, &Error{"StepFunctions.SdkClientException", "the connection broke"}
					}
					return result, err
				}
				start(t, m)
				pass(24 * time.Hour)
				if wantSucceeded(t, m, 2); asked != 2 || made != limit+1 {
					t.Errorf("asked for %d times, %d steps", asked, made)
				}
			})
		})
	}
}

// A failed renewal fails the execution.
func TestRenewalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, steps(func(int, *step) error { return nil }))
		const full = "StepFunctions.ExecutionLimitExceededException"
		m.tasks[startExecution] = func(map[string]any) (any, error) { return nil, &Error{full, "too many"} }
		start(t, m)
		pass(24 * time.Hour)
		if all := m.Executions(""); len(all) != 1 || all[0].Status != types.ExecutionStatusFailed || all[0].Error != full {
			t.Errorf("executions %+v", all)
		}
	})
}

// Unsupported constructs are refused, never run in part.
func TestUnknownConstructsAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ old, replaced, want string }{
		"field of a state":            {`"SecondsPath"`, `"TimestampPath"`, "TimestampPath"},
		"field of another type":       {`"Type": "Succeed"`, `"Type": "Succeed", "OutputPath": "$"`, "OutputPath"},
		"field of a catcher":          {`"Catch": [`, `"Catch": [{"ErrorEquals": ["A"], "ResultPath": "$.e", "Next": "Done"},`, "ResultPath"},
		"type":                        {`"Type": "Succeed"`, `"Type": "Parallel"`, "Parallel"},
		"comparison":                  {`"StringEquals"`, `"StringMatches"`, "StringMatches"},
		"choice without a comparison": {`"StringEquals": "done",`, ``, "one comparison"},
		"choice without a default":    {"],\n      \"Default\": \"Unknown\"", `]`, "Default"},
		"JSONata":                     {`"Type": "Wait"`, `"QueryLanguage": "JSONata", "Type": "Wait"`, "QueryLanguage"},
		"start":                       {`"StartAt": "Wait"`, `"StartAt": "Begin"`, "Begin"},
		"path of an index":            {`"$.wait_seconds",`, `"$.wait[0]",`, "$.wait[0]"},
		"several errors":              {`["States.ALL"]`, `["States.ALL", "States.Timeout"]`, "States.Timeout"},
		"error of Step Functions":     {`["States.ALL"]`, `["States.TaskFailed"]`, "States.TaskFailed"},
		"retrier without MaxAttempts": {",\n          \"MaxAttempts\": 16", ``, "MaxAttempts"},
		"retrier without a rate":      {`"BackoffRate": 2,`, ``, "BackoffRate"},
		"retrier without a delay":     {`"MaxDelaySeconds": 300,`, ``, "MaxDelaySeconds"},
		"jitter":                      {`"FULL"`, `"NONE"`, "NONE"},
		"time-out":                    {`"TimeoutSeconds": 240,`, ``, "TimeoutSeconds"},
		"placeholder":                 {arn, `${Other}`, "placeholder"},
		"resource":                    {lambdaInvoke, `arn:aws:states:::sqs:sendMessage`, "sqs:sendMessage"},
		"parameter of a resource":     {`"Payload.$": "$"`, `"Payload.$": "$", "InvocationType": "Event"`, "parameters"},
		"path in the context":         {`"Payload.$": "$"`, `"Payload.$": "$$.Execution"`, "$$.Execution"},
		"intrinsic function":          {`"$.renewal"`, `"States.UUID()"`, "States.UUID()"},
		"path that is no text":        {`"tenant.$": "$.tenant"`, `"tenant.$": 5`, "tenant.$"},
		"list in a template":          {`"count": 0`, `"count": [0]`, "lists"},
		"state that is not there":     {`"Next": "Decide"`, `"Next": "Choose"`, "Choose"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(string(deployed(t)), c.old, c.replaced, 1)
			if text == string(deployed(t)) {
				t.Fatalf("%q is not in the definition", c.old)
			}
			if got := refusal(t, text); !strings.Contains(got, c.want) {
				t.Errorf("refused by %q, want %q", got, c.want)
			}
		})
	}
}

// refusal returns why New refuses a definition, or why one of its executions, which
// go through all states, fails.
func refusal(t *testing.T, definition string) (why string) {
	synctest.Test(t, func(t *testing.T) {
		m, err := New(arn, []byte(definition), steps(func(number int, s *step) error {
			if s.Count = limit; number > 1 {
				s.Next = "done"
			}
			return nil
		}))
		if err != nil {
			why = err.Error()
			return
		}
		defer m.Close()
		start(t, m)
		pass(24 * time.Hour)
		for _, x := range m.Executions("") {
			why += x.Cause
		}
	})
	return why
}
