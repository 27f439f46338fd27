package asl

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/sluicehq/sluice/internal/backoff"
)

// execution is one execution. The machine's mu guards its Execution.
type execution struct {
	machine *Machine
	ctx     context.Context // ends when it is stopped
	stop    context.CancelFunc
	about   Execution
}

// run executes states until the last one or an uncaught error. The history has one
// event for the start, one for entering and one for leaving each state, three for
// each attempt of a task, and one for the end.
func (x *execution) run(data any) {
	err := x.record(1)
	for name := x.machine.startAt; name != "" && err == nil; {
		data, name, err = x.enter(name, data)
	}
	status, failed := types.ExecutionStatusSucceeded, &Error{}
	switch {
	case errors.As(err, &failed):
		status = types.ExecutionStatusFailed
	case err != nil:
		status = types.ExecutionStatusAborted
	}
	x.machine.mu.Lock()
	defer x.machine.mu.Unlock()
	x.end(status, failed.Name, failed.Cause)
}

// end records how the execution ended, if it is running. It is called with the lock
// held.
func (x *execution) end(status types.ExecutionStatus, name, cause string) {
	if x.about.Status != types.ExecutionStatusRunning {
		return
	}
	x.about.Status, x.about.Error, x.about.Cause, x.about.Stopped = status, name, cause, time.Now()
	x.about.Events++
	x.stop()
}

// record adds events to the history and always leaves room for the end.
func (x *execution) record(events int) error {
	x.machine.mu.Lock()
	defer x.machine.mu.Unlock()
	if x.about.Events+events >= maxEvents {
		return runtime("the history of the execution is full: %d events", maxEvents)
	}
	x.about.Events += events
	return nil
}

func (x *execution) enter(name string, input any) (output any, next string, err error) {
	s := x.machine.states[name]
	if s == nil {
		return nil, "", runtime("there is no state %q", name)
	}
	if err := x.record(1); err != nil {
		return nil, "", err
	}
	output, next = input, s.Next
	switch s.Type {
	case "Wait":
		err = x.wait(s, input)
	case "Choice":
		next, err = s.choose(input)
	case "Task":
		output, next, err = x.task(s, input)
	case "Fail":
		err = &Error{s.Error, s.Cause}
	}
	if err != nil {
		return nil, "", err
	}
	return output, next, x.record(1)
}

func (x *execution) wait(s *state, input any) error {
	value, err := s.SecondsPath.of(input)
	if err != nil {
		return err
	}
	seconds, ok := value.(float64)
	if !ok || seconds < 0 || seconds != math.Trunc(seconds) {
		return runtime("%s is %v, must be whole seconds", s.SecondsPath, value)
	}
	return backoff.Wait(x.ctx, time.Duration(seconds)*time.Second)
}

func (s *state) choose(input any) (string, error) {
	for _, r := range s.Choices {
		value, err := r.Variable.of(input)
		if err != nil {
			return "", err
		}
		n, isNumber := value.(float64)
		if r.StringEquals != nil && value == *r.StringEquals ||
			r.NumericGreaterThanEquals != nil && isNumber && n >= *r.NumericGreaterThanEquals {
			return r.Next, nil
		}
	}
	return s.Default, nil
}

// task runs a task with its retries. A caught error replaces the data.
func (x *execution) task(s *state, input any) (any, string, error) {
	given, err := fill(s.Parameters, input)
	if err != nil {
		return nil, "", err
	}
	result, err := x.try(s, given)
	var failed *Error
	switch {
	case err == nil && s.OutputPath != "":
		result, err = s.OutputPath.of(result)
	case errors.As(err, &failed):
		for _, c := range s.Catch {
			if c.ErrorEquals.match(failed) {
				return map[string]any{"Error": failed.Name, "Cause": failed.Cause}, c.Next, nil
			}
		}
	}
	return result, s.Next, err
}

// try makes the first attempt and the retries. Each has three events in the
// history: scheduled, started and the result.
func (x *execution) try(s *state, input map[string]any) (any, error) {
	retries := make([]int, len(s.Retry))
	for {
		if err := x.record(3); err != nil {
			return nil, err
		}
		result, err := x.once(s, input)
		var failed *Error
		if !errors.As(err, &failed) {
			return result, err
		}
		i := slices.IndexFunc(s.Retry, func(r retrier) bool { return r.ErrorEquals.match(failed) })
		if i < 0 || retries[i] >= *s.Retry[i].MaxAttempts {
			return nil, failed
		}
		if err := backoff.Wait(x.ctx, s.Retry[i].pause(retries[i], x.machine.jitter())); err != nil {
			return nil, err
		}
		retries[i]++
	}
}

func (x *execution) once(s *state, input map[string]any) (any, error) {
	type answer struct {
		result any
		err    error
	}
	answered := make(chan answer, 1)
	x.machine.running.Go(func() {
		result, err := x.machine.tasks[s.Resource](input)
		answered <- answer{result, err}
	})
	limit := time.Duration(s.TimeoutSeconds * float64(time.Second))
	ctx, cancel := context.WithTimeoutCause(x.ctx, limit, &Error{errTimeout, s.Resource + " did not answer within " + limit.String()})
	defer cancel()
	select {
	case a := <-answered:
		return a.result, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
