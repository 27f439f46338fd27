// Package asl runs the state machine of statemachine/delivery.asl.json in the
// test process, on the timers of package time: in a testing/synctest bubble, days
// of waiting take no time.
//
// It supports the states, fields and values that this definition uses. New
// refuses all others, so that a changed definition is never silently run in part.
// asl-validator checks everything else about a definition.
package asl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Fill returns a definition with its placeholders replaced, as a deployment
// does.
func Fill(definition []byte, machineARN, functionARN string) []byte {
	values := strings.NewReplacer("${StateMachineArn}", machineARN, "${AdvanceFunctionArn}", functionARN)
	return []byte(values.Replace(string(definition)))
}

// state has the fields of all state types.
type state struct {
	Type, Comment, Next string

	SecondsPath path // of a Wait

	Choices []rule // of a Choice
	Default string

	Resource       string // of a Task
	Parameters     map[string]any
	OutputPath     path
	TimeoutSeconds float64
	Retry          []retrier
	Catch          []catcher

	Error, Cause string // of a Fail
}

// rule is one rule of a Choice. It has exactly one comparison.
type rule struct {
	Variable                 path
	StringEquals             *string
	NumericGreaterThanEquals *float64
	Next                     string
}

type retrier struct {
	ErrorEquals                                   names
	IntervalSeconds, BackoffRate, MaxDelaySeconds float64
	JitterStrategy                                string
	MaxAttempts                                   *int
}

type catcher struct {
	ErrorEquals names
	Next        string
}

// The resources of tasks and the parameters that each requires.
const (
	lambdaInvoke   = "arn:aws:states:::lambda:invoke"
	startExecution = "arn:aws:states:::states:startExecution"
)

var parameters = map[string][]string{
	lambdaInvoke:   {"FunctionName", "Payload.$"},
	startExecution: {"Input", "Name.$", "StateMachineArn"},
}

// required and optional are the fields of a state, by its type.
var (
	required = map[string][]string{
		"Wait":    {"SecondsPath", "Next"},
		"Choice":  {"Choices", "Default"},
		"Task":    {"Resource", "Parameters", "TimeoutSeconds", "Retry", "Next"},
		"Fail":    {"Error", "Cause"},
		"Succeed": {},
	}
	optional = map[string][]string{"Task": {"OutputPath", "Catch"}}
)

// parse parses a definition whose placeholders are filled.
func parse(text []byte) (startAt string, states map[string]*state, err error) {
	if bytes.Contains(text, []byte("${")) {
		return "", nil, fmt.Errorf("the definition has a placeholder that Fill did not replace")
	}
	var top struct {
		Comment, StartAt string
		States           map[string]json.RawMessage
	}
	if err := decode(text, &top); err != nil {
		return "", nil, fmt.Errorf("the definition: %w", err)
	}
	states = map[string]*state{}
	for name, text := range top.States {
		if states[name], err = parseState(text); err != nil {
			return "", nil, fmt.Errorf("state %q: %w", name, err)
		}
	}
	return top.StartAt, states, nil
}

func parseState(text []byte) (*state, error) {
	s := new(state)
	if err := decode(text, s); err != nil {
		return nil, err
	}
	needs, known := required[s.Type]
	if !known {
		return nil, fmt.Errorf("type %q is not supported", s.Type)
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(text, &given); err != nil {
		return nil, err
	}
	for _, name := range needs {
		if given[name] == nil {
			return nil, fmt.Errorf("a %s without %s is not supported", s.Type, name)
		}
	}
	allowed := slices.Concat([]string{"Type", "Comment"}, needs, optional[s.Type])
	for name := range given {
		if !slices.Contains(allowed, name) {
			return nil, fmt.Errorf("field %s of a %s is not supported", name, s.Type)
		}
	}
	return s, s.check()
}

// check rejects values that the runner does not support.
func (s *state) check() error {
	for _, r := range s.Choices {
		if r.Variable == "" || (r.StringEquals == nil) == (r.NumericGreaterThanEquals == nil) {
			return fmt.Errorf("a choice needs a Variable and one comparison: %+v", r)
		}
	}
	for _, r := range s.Retry {
		if err := r.check(); err != nil {
			return err
		}
	}
	for _, c := range s.Catch {
		if err := c.ErrorEquals.check(); err != nil {
			return err
		}
	}
	if s.Type != "Task" {
		return nil
	}
	want := parameters[s.Resource]
	if want == nil || !slices.Equal(want, slices.Sorted(maps.Keys(s.Parameters))) {
		return fmt.Errorf("resource %s with these parameters is not supported", s.Resource)
	}
	if s.TimeoutSeconds < 1 {
		return fmt.Errorf("TimeoutSeconds is %v, must be 1 or more", s.TimeoutSeconds)
	}
	return nil
}

// check rejects retriers that rely on defaults of Step Functions.
func (r *retrier) check() error {
	switch {
	case r.MaxAttempts == nil || *r.MaxAttempts < 0:
		return fmt.Errorf("a retrier without MaxAttempts is not supported")
	case *r.MaxAttempts == 0:
	case r.IntervalSeconds < 1 || r.BackoffRate < 1 || r.MaxDelaySeconds <= r.IntervalSeconds || r.JitterStrategy != "FULL":
		return fmt.Errorf("the retrier %+v is not supported: it needs IntervalSeconds, BackoffRate, MaxDelaySeconds and JitterStrategy FULL", *r)
	}
	return r.ErrorEquals.check()
}

// delay returns how long to wait before a retry, given the number of earlier ones.
func (r *retrier) delay(done int, jitter float64) time.Duration {
	seconds := min(r.IntervalSeconds*math.Pow(r.BackoffRate, float64(done)), r.MaxDelaySeconds)
	return time.Duration(jitter * seconds * float64(time.Second))
}

// names are the error names of an ErrorEquals.
type names []string

const errAll, errRuntime, errTimeout = "States.ALL", "States.Runtime", "States.Timeout"

func (n names) check() error {
	if len(n) != 1 || strings.HasPrefix(n[0], "States.") && n[0] != errAll {
		return fmt.Errorf("ErrorEquals %q is not supported: it must be States.ALL or one error of a service", n)
	}
	return nil
}

// match reports whether the names cover the error. States.ALL excludes errors in
// the definition or the data.
func (n names) match(e *Error) bool {
	return e.Name == n[0] || n[0] == errAll && e.Name != errRuntime
}

// path is a JSONPath: $, or $ and one name.
type path string

var pathForm = regexp.MustCompile(`^\$(\.[a-z_A-Z]+)?$`)

// UnmarshalJSON implements json.Unmarshaler.
func (p *path) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil || !pathForm.MatchString(s) {
		return fmt.Errorf("path %s is not supported: it must be $ or $.name", text)
	}
	*p = path(s)
	return nil
}

// of returns the value at the path in the data.
func (p path) of(data any) (any, error) {
	name, isName := strings.CutPrefix(string(p), "$.")
	if !isName {
		return data, nil
	}
	object, _ := data.(map[string]any)
	value, ok := object[name]
	if !ok {
		return nil, runtime("the path %s matches nothing", p)
	}
	return value, nil
}

// fill returns a payload template with the fields that end in .$ replaced.
func fill(template map[string]any, data any) (map[string]any, error) {
	filled := make(map[string]any, len(template))
	for name, value := range template {
		var err error
		short, isPath := strings.CutSuffix(name, ".$")
		text, _ := value.(string)
		nested, isObject := value.(map[string]any)
		_, isList := value.([]any)
		switch {
		case isList, isPath && !pathForm.MatchString(text):
			err = runtime("parameter %s is %v, which is not supported: a path must be $ or $.name, and there are no lists", name, value)
		case isPath:
			value, err = path(text).of(data)
		case isObject:
			value, err = fill(nested, data)
		}
		if err != nil {
			return nil, err
		}
		filled[short] = value
	}
	return filled, nil
}

// decode rejects fields that the target does not have.
func decode(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}
