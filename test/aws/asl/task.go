package asl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Task does what a Resource stands for. Its input is what the state's
// Parameters make of the data. An *Error has the name by which it is retried or
// caught; any other error is of the name States.TaskFailed. The context ends
// with the Service and not with the execution or its time-out: as with a
// function that was invoked, nobody calls back what is under way.
type Task func(ctx context.Context, input json.RawMessage) (json.RawMessage, error)

// task is a state of type Task.
type task struct {
	common
	Resource       string
	Parameters     any
	OutputPath     path
	TimeoutSeconds float64
	Retry          []retrier
	Catch          []catcher
	Next           string
}

// defaultTimeout is that of Step Functions.
const defaultTimeout = maxWait

func (t *task) targets() []string {
	names := []string{t.Next}
	for i := range t.Catch {
		names = append(names, t.Catch[i].Next)
	}
	return names
}

func (t *task) check() error {
	if t.TimeoutSeconds < 1 || t.TimeoutSeconds > maxWait {
		return fmt.Errorf("TimeoutSeconds is %v", t.TimeoutSeconds)
	}
	for i := range t.Retry {
		if err := t.Retry[i].check(i == len(t.Retry)-1); err != nil {
			return fmt.Errorf("in Retry, element %d: %w", i, err)
		}
	}
	for i := range t.Catch {
		if err := t.Catch[i].ErrorEquals.check(i == len(t.Catch)-1); err != nil {
			return fmt.Errorf("in Catch, element %d: %w", i, err)
		}
	}
	return checkTemplate(t.Parameters)
}

func (t *task) execute(x *execution, input any) (any, string, error) {
	given := input
	if t.Parameters != nil {
		var err error
		if given, err = fill(t.Parameters, input); err != nil {
			return nil, "", err
		}
	}
	result, err := t.try(x, given)
	if err == nil {
		var output any
		output, err = t.OutputPath.of(result)
		return output, t.Next, err
	}
	var failed *Error
	if !errors.As(err, &failed) {
		return nil, "", err
	}
	for i := range t.Catch {
		if t.Catch[i].ErrorEquals.match(failed) {
			return map[string]any{"Error": failed.Name, "Cause": failed.Cause}, t.Catch[i].Next, nil
		}
	}
	return nil, "", failed
}

// try makes the first try and the retries. Each has three events in the
// history: scheduled, started, and how it ended.
func (t *task) try(x *execution, input any) (any, error) {
	retries := make([]int, len(t.Retry))
	for {
		if err := x.record(3); err != nil {
			return nil, err
		}
		result, err := t.once(x, input)
		var failed *Error
		if !errors.As(err, &failed) {
			return result, err
		}
		again := false
		for i := range t.Retry {
			if !t.Retry[i].ErrorEquals.match(failed) {
				continue
			}
			var pause time.Duration
			if pause, again = t.Retry[i].pause(retries[i], x.service.jitter); again {
				retries[i]++
				if err := x.pause(pause); err != nil {
					return nil, err
				}
			}
			break
		}
		if !again {
			return nil, failed
		}
	}
}

// once makes one try.
func (t *task) once(x *execution, input any) (any, error) {
	type answer struct {
		result any
		err    error
	}
	answered := make(chan answer, 1)
	x.service.running.Go(func() {
		result, err := t.call(x.service, input)
		answered <- answer{result, err}
	})
	timer := time.NewTimer(time.Duration(t.TimeoutSeconds * float64(time.Second)))
	defer timer.Stop()
	select {
	case a := <-answered:
		return a.result, a.err
	case <-timer.C:
		return nil, &Error{Name: errTimeout, Cause: fmt.Sprintf("%s did not answer within %v s.", t.Resource, t.TimeoutSeconds)}
	case <-x.ctx.Done():
		return nil, context.Cause(x.ctx)
	}
}

func (t *task) call(s *Service, input any) (any, error) {
	text, err := s.tasks[t.Resource](s.ctx, write(input))
	var named *Error
	switch {
	case errors.As(err, &named):
		return nil, named
	case err != nil:
		return nil, &Error{Name: errTaskFailed, Cause: err.Error()}
	}
	result, err := read(text)
	if err != nil {
		return nil, runtime("the result of %s is not JSON: %v", t.Resource, err)
	}
	return result, nil
}
