package asl_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/test/aws/asl"
)

// One renewal is one execution, however often it is asked for, and wherever the
// answer was lost.
func TestRenewalWithLostAnswer(t *testing.T) {
	for name, pause := range map[string]int{
		"the new one runs":     3600,
		"the new one is ended": 0,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				made := 0
				s := newService(t, asl.Options{}, steps(func(number int, s *step) error {
					if made = number; number == limit {
						s.WaitSeconds = pause
					}
					if number == limit+1 {
						s.Next = "done"
					}
					return nil
				}))
				asked := 0
				renew := s.Task(asl.StartResource)
				s.SetTask(asl.StartResource, func(ctx context.Context, input json.RawMessage) (json.RawMessage, error) {
					result, err := renew(ctx, input)
					if asked++; asked == 1 {
						return nil, errors.New("the connection broke")
					}
					return result, err
				})
				start(t, s)
				time.Sleep(24 * time.Hour)
				synctest.Wait()
				all := executions(t, s)
				if len(all) != 2 || asked != 2 || made != limit+1 {
					t.Fatalf("%d executions, asked for %d times, %d steps", len(all), asked, made)
				}
				for _, x := range all {
					if x.Status != asl.Succeeded {
						t.Errorf("%s is %s: %s %s", x.Name, x.Status, x.Error, x.Cause)
					}
				}
			})
		})
	}
}

// A renewal that is not possible fails the execution.
func TestRenewalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, asl.Options{}, steps(func(int, *step) error { return nil }))
		s.SetTask(asl.StartResource, func(context.Context, json.RawMessage) (json.RawMessage, error) {
			return nil, &asl.Error{Name: "StepFunctions.ExecutionLimitExceededException", Cause: "too many"}
		})
		start(t, s)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if all := executions(t, s); len(all) != 1 || all[0].Status != asl.Failed || all[0].Error != "StepFunctions.ExecutionLimitExceededException" {
			t.Errorf("executions %+v", all)
		}
	})
}

func TestNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		s := newService(t, asl.Options{}, steps(func(_ int, s *step) error { calls++; s.Next = "done"; return nil }))
		const taken = "ExecutionAlreadyExists"
		input, other := []byte(`{"wait_seconds":60}`), []byte(`{"wait_seconds":61}`)
		for _, c := range []struct {
			after  time.Duration
			name   string
			input  []byte
			err    string
			starts int // from the beginning on, once all have ended
		}{
			{0, "a", input, "", 1},
			{0, "a", input, "", 1},
			{0, "a", other, taken, 1},
			{61 * time.Second, "a", input, taken, 1},
			{0, "b", input, "", 2},
			{90*24*time.Hour - time.Minute, "a", input, taken, 2},
			{2 * time.Minute, "a", input, "", 3},
			{0, "", input, "InvalidName", 3},
			{0, "a:b", input, "InvalidName", 3},
			{0, "c", []byte(`{`), "InvalidExecutionInput", 3},
		} {
			time.Sleep(c.after)
			_, err := s.Start(machine, c.name, c.input)
			if got := nameOf(err); got != c.err {
				t.Errorf("%s %s: error %q, want %q", c.name, c.input, got, c.err)
			}
			if all := executions(t, s); len(all) != c.starts {
				t.Errorf("%s %s: %d executions, want %d", c.name, c.input, len(all), c.starts)
			}
		}
		if _, err := s.Start(machine+"x", "a", input); nameOf(err) != "StateMachineDoesNotExist" {
			t.Errorf("no such machine: %v", err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if calls != 3 {
			t.Errorf("%d calls, want one for each execution", calls)
		}
	})
}

func nameOf(err error) string {
	var named *asl.Error
	if errors.As(err, &named) {
		return named.Name
	}
	return ""
}

// A stopped execution makes no further step, and its name stays taken.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		s := newService(t, asl.Options{}, steps(func(_ int, s *step) error {
			calls++
			s.WaitSeconds = 60
			return nil
		}))
		x := start(t, s)
		time.Sleep(150 * time.Second)
		for range 2 { // again is no error
			if _, err := s.Stop(x.ARN, "Operator", "for a test"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		got, err := s.Describe(x.ARN)
		if err != nil || got.Status != asl.Aborted || got.Error != "Operator" || calls != 3 {
			t.Errorf("after %d calls %+v, %v", calls, got, err)
		}
		if d := got.Stopped.Sub(got.Started); d != 150*time.Second {
			t.Errorf("stopped after %v", d)
		}
	})
}

// A history that is full fails the execution.
func TestFullHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, asl.Options{}, func(_ context.Context, payload []byte) ([]byte, string, error) {
			return payload, "", nil // count stays 0
		})
		x := start(t, s)
		time.Sleep(time.Second)
		synctest.Wait()
		got, err := s.Describe(x.ARN)
		if err != nil || got.Status != asl.Failed || got.Events > asl.MaxEvents || got.Events < asl.MaxEvents-3 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// An error of the definition or of the data is not tried again.
func TestRuntimeErrorIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		s := newService(t, asl.Options{}, func(context.Context, []byte) ([]byte, string, error) {
			calls++
			return nil, "", &asl.Error{Name: "States.Runtime", Cause: "for a test"}
		})
		x := start(t, s)
		time.Sleep(time.Hour)
		synctest.Wait()
		if got, err := s.Describe(x.ARN); err != nil || got.Status != asl.Failed || calls != 1 {
			t.Errorf("after %d calls %+v, %v", calls, got, err)
		}
	})
}
