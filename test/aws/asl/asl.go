// Package asl runs the state machine of statemachine/delivery.asl.json in the
// test process, on the timers of package time: in a testing/synctest bubble, days
// of waiting take no time.
//
// New refuses fields that the definition does not use. An execution panics at values
// that it does not use and at data that it cannot read.
package asl

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/backoff"
)

// state has the fields of all state types.
type state struct {
	Type, Comment, Next string
	SecondsPath         string     // of a Wait
	Choices             []struct { // of a Choice
		Variable, Next           string
		StringEquals             *string
		NumericGreaterThanEquals *float64
	}
	Default    string
	Resource   string // of a Task
	Parameters struct {
		FunctionName    string // of lambda:invoke
		Payload         string `json:"Payload.$"`
		StateMachineArn string // of states:startExecution
		Name            string `json:"Name.$"`
		Input           map[string]any
	}
	OutputPath     string
	TimeoutSeconds int
	Retry, Catch   []handler
	Error, Cause   string // of a Fail
}

// handler is a retrier or a catcher.
type handler struct {
	ErrorEquals                                   []string
	IntervalSeconds, BackoffRate, MaxDelaySeconds float64
	MaxAttempts                                   int
	JitterStrategy, Next                          string
}

// Error is why an execution, a task or a call failed.
type Error struct{ Name, Cause string }

func (e *Error) Error() string { return e.Name + ": " + e.Cause }

// handler returns the index of the first handler for the error, or -1.
func (e *Error) handler(of []handler) int {
	return slices.IndexFunc(of, func(h handler) bool {
		return slices.Contains(h.ErrorEquals, e.Name) || slices.Contains(h.ErrorEquals, "States.ALL")
	})
}

// run executes states until one succeeds.
func (m *Machine) run(ctx context.Context, input []byte) error {
	data := parse(input)
	for name := m.definition.StartAt; ; {
		s := m.definition.States[name]
		next, err := s.Next, error(nil)
		switch s.Type {
		case "Wait":
			seconds := at(s.SecondsPath, data).(float64)
			err = backoff.Wait(ctx, time.Duration(seconds)*time.Second)
		case "Choice":
			next = s.choose(data)
		case "Task":
			data, next, err = m.task(ctx, s, data)
		case "Fail":
			err = &Error{s.Error, s.Cause}
		case "Succeed":
			return nil
		default:
			panic(fmt.Sprintf("the type %q of state %q is not supported", s.Type, name))
		}
		if err != nil {
			return err
		}
		name = next
	}
}

func (s state) choose(data any) (next string) {
	for _, c := range s.Choices {
		value := at(c.Variable, data)
		number, isNumber := value.(float64)
		if c.StringEquals != nil && value == *c.StringEquals ||
			c.NumericGreaterThanEquals != nil && isNumber && number >= *c.NumericGreaterThanEquals {
			return c.Next
		}
	}
	return s.Default
}

// task makes the attempts of a task. An error that is caught replaces the data.
func (m *Machine) task(ctx context.Context, s state, data any) (output any, next string, err error) {
	for retries := 0; ; retries++ {
		output, failed := m.attempt(ctx, s, data)
		if failed == nil {
			return output, s.Next, nil
		}
		i := failed.handler(s.Retry)
		if i < 0 || retries >= s.Retry[i].MaxAttempts {
			if c := failed.handler(s.Catch); c >= 0 {
				return failed, s.Catch[c].Next, nil
			}
			return nil, "", failed
		}
		if err := backoff.Wait(ctx, m.delay(s.Retry[i], retries)); err != nil {
			return nil, "", err
		}
	}
}

// delay is the time before a retry, after a number of earlier ones.
func (m *Machine) delay(r handler, earlier int) time.Duration {
	seconds := min(r.IntervalSeconds*math.Pow(r.BackoffRate, float64(earlier)), r.MaxDelaySeconds)
	if r.JitterStrategy == "FULL" {
		seconds *= m.jitter()
	}
	return time.Duration(seconds * float64(time.Second))
}

// attempt calls the resource of a task once.
func (m *Machine) attempt(ctx context.Context, s state, data any) (output any, failed *Error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.TimeoutSeconds)*time.Second)
	defer cancel()
	switch p := s.Parameters; s.Resource {
	case "arn:aws:states:::lambda:invoke":
		result, functionError, err := m.invoke(ctx, p.FunctionName, encode(at(p.Payload, data)))
		if err != nil || functionError != "" {
			return nil, &Error{cmp.Or(functionError, "Lambda.SdkClientException"), fmt.Sprintf("%s %v", result, err)}
		}
		output = map[string]any{"Payload": parse(result)}
	case "arn:aws:states:::states:startExecution":
		if output, failed = m.renew(p.StateMachineArn, at(p.Name, data).(string), string(encode(fill(p.Input, data)))); failed != nil {
			return nil, failed
		}
	default:
		panic(fmt.Sprintf("the resource %q is not supported", s.Resource))
	}
	return at(cmp.Or(s.OutputPath, "$"), output), nil
}

// at returns the value at a path, $ or $.name, in the data.
func at(path string, data any) any {
	if path == "$" {
		return data
	}
	value, ok := data.(map[string]any)[strings.TrimPrefix(path, "$.")]
	if !ok {
		panic(fmt.Sprintf("the path %q matches nothing in %v", path, data))
	}
	return value
}

// fill returns a template with the values at its paths, in fields that end in .$.
func fill(template map[string]any, data any) map[string]any {
	filled := map[string]any{}
	for name, value := range template {
		if short, isPath := strings.CutSuffix(name, ".$"); isPath {
			name, value = short, at(value.(string), data)
		}
		filled[name] = value
	}
	return filled
}

func parse(text []byte) (value any) {
	if err := json.Unmarshal(text, &value); err != nil {
		panic(fmt.Sprintf("%q: %v", text, err))
	}
	return value
}

func encode(value any) []byte {
	text, _ := json.Marshal(value) // all data was JSON
	return text
}
