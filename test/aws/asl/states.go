package asl

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// common are the fields of every state.
type common struct {
	Type    string
	Comment string
}

// wait is a state of type Wait.
type wait struct {
	common
	SecondsPath path
	Next        string
}

func (w *wait) targets() []string { return []string{w.Next} }

func (w *wait) check() error {
	if w.SecondsPath == nil {
		return errors.New("it has no SecondsPath")
	}
	return nil
}

// maxWait is the longest wait in seconds, about three years.
const maxWait = 99_999_999

func (w *wait) execute(x *execution, input any) (any, string, error) {
	value, err := w.SecondsPath.of(input)
	if err != nil {
		return nil, "", err
	}
	seconds, ok := number(value)
	if !ok || seconds < 0 || seconds > maxWait || seconds != math.Trunc(seconds) {
		return nil, "", runtime("%s is %v, must be whole seconds from 0 to %d", w.SecondsPath, value, maxWait)
	}
	return input, w.Next, x.pause(time.Duration(seconds) * time.Second)
}

// choice is a state of type Choice.
type choice struct {
	common
	Choices []rule
	Default string
}

// rule is one of a choice's. Exactly one of its comparisons is set.
type rule struct {
	Comment                  string
	Variable                 path
	StringEquals             *string
	NumericGreaterThanEquals *json.Number
	Next                     string
}

func (c *choice) targets() []string {
	var names []string
	for i := range c.Choices {
		names = append(names, c.Choices[i].Next)
	}
	if c.Default != "" {
		names = append(names, c.Default)
	}
	return names
}

func (c *choice) check() error {
	if len(c.Choices) == 0 {
		return errors.New("it has no Choices")
	}
	for i := range c.Choices {
		r := &c.Choices[i]
		if r.Variable == nil || (r.StringEquals == nil) == (r.NumericGreaterThanEquals == nil) {
			return fmt.Errorf("choice %d needs a Variable, and either StringEquals or NumericGreaterThanEquals", i)
		}
	}
	return nil
}

func (c *choice) execute(_ *execution, input any) (any, string, error) {
	for i := range c.Choices {
		value, err := c.Choices[i].Variable.of(input)
		if err != nil {
			return nil, "", err
		}
		if c.Choices[i].holds(value) {
			return input, c.Choices[i].Next, nil
		}
	}
	if c.Default == "" {
		return nil, "", &Error{Name: "States.NoChoiceMatched", Cause: "No choice holds, and there is no Default."}
	}
	return input, c.Default, nil
}

// holds compares. A value of another type is never equal.
func (r *rule) holds(value any) bool {
	if r.StringEquals != nil {
		return value == *r.StringEquals
	}
	n, ok := number(value)
	limit, err := r.NumericGreaterThanEquals.Float64()
	return ok && err == nil && n >= limit
}

// succeed is a state of type Succeed.
type succeed struct{ common }

func (s *succeed) targets() []string { return nil }
func (s *succeed) check() error      { return nil }
func (s *succeed) execute(_ *execution, input any) (any, string, error) {
	return input, "", nil
}

// fail is a state of type Fail.
type fail struct {
	common
	Error string
	Cause string
}

func (f *fail) targets() []string { return nil }
func (f *fail) check() error      { return nil }
func (f *fail) execute(*execution, any) (any, string, error) {
	return nil, "", &Error{Name: f.Error, Cause: f.Cause}
}
