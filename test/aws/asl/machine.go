package asl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// Error is an error of a state machine: a name, by which it is retried or caught,
// and a cause for people.
type Error struct{ Name, Cause string }

func (e *Error) Error() string { return e.Name + ": " + e.Cause }

// runtime is an error in the definition or the data. It is never retried.
func runtime(format string, args ...any) *Error {
	return &Error{errRuntime, fmt.Sprintf(format, args...)}
}

// Invoker runs Lambda functions. If the function fails, functionError is not empty
// and the result has errorType and errorMessage. An err means that the function
// did not run or that its response was lost.
type Invoker interface {
	Invoke(ctx context.Context, function string, payload []byte) (result []byte, functionError string, err error)
}

// maxEvents limits the history of an execution. One more event fails it.
const maxEvents = 25_000

// Execution describes an execution.
type Execution struct {
	ARN, Name    string
	Status       types.ExecutionStatus
	Input        []byte
	Error, Cause string // of one that failed or was stopped
	Events       int    // in its history
	Started      time.Time
	Stopped      time.Time // zero while it runs
}

// Machine is a state machine with its executions, each in its own goroutine. It is
// an http.Handler for the calls about executions.
type Machine struct {
	arn     string
	startAt string
	states  map[string]*state
	invoker Invoker
	tasks   map[string]func(input map[string]any) (any, error) // by resource
	jitter  func() float64                                     // from [0, 1), for the delays of retries
	ctx     context.Context
	close   context.CancelFunc
	running sync.WaitGroup

	mu         sync.Mutex
	executions []*execution // in the order of their start
}

// New returns the state machine of a filled definition. Close ends it.
func New(arn string, definition []byte, invoker Invoker) (*Machine, error) {
	m := &Machine{arn: arn, invoker: invoker, jitter: rand.Float64}
	m.tasks = map[string]func(map[string]any) (any, error){lambdaInvoke: m.invoke, startExecution: m.renew}
	var err error
	if m.startAt, m.states, err = parse(definition); err != nil {
		return nil, err
	}
	m.ctx, m.close = context.WithCancel(context.Background())
	return m, nil
}

// Close stops every execution and waits for them to end.
func (m *Machine) Close() {
	m.close()
	m.running.Wait()
}

// Start starts an execution. If one with the same name and input is running, Start
// returns that one; any other use of a taken name is ExecutionAlreadyExists. Names
// stay taken.
func (m *Machine) Start(name string, input []byte) (Execution, error) {
	var data any
	if err := json.Unmarshal(input, &data); err != nil {
		return Execution{}, &Error{"InvalidExecutionInput", err.Error()}
	}
	if name == "" {
		return Execution{}, &Error{"InvalidName", "the execution has no name"}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	arn := strings.Replace(m.arn, ":stateMachine:", ":execution:", 1) + ":" + name
	if x := m.find(arn); x != nil {
		if x.about.Status == types.ExecutionStatusRunning && string(x.about.Input) == string(input) {
			return x.about, nil
		}
		return Execution{}, &Error{"ExecutionAlreadyExists", "the name of " + arn + " is taken"}
	}
	if m.ctx.Err() != nil {
		return Execution{}, &Error{"Closed", "the state machine was closed"}
	}
	x := &execution{machine: m, about: Execution{ARN: arn, Name: name, Status: types.ExecutionStatusRunning, Input: input, Started: time.Now()}}
	x.ctx, x.stop = context.WithCancel(m.ctx)
	m.executions = append(m.executions, x)
	m.running.Go(func() { x.run(data) })
	return x.about, nil
}

// find is called with the lock held.
func (m *Machine) find(arn string) *execution {
	for _, x := range m.executions {
		if x.about.ARN == arn {
			return x
		}
	}
	return nil
}

// Executions returns the executions with the status, or all for "", oldest first.
func (m *Machine) Executions(status types.ExecutionStatus) []Execution {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []Execution
	for _, x := range m.executions {
		if status == "" || x.about.Status == status {
			list = append(list, x.about)
		}
	}
	return list
}

// invoke is the task that runs a function. The function keeps running if the
// execution is stopped or times out.
func (m *Machine) invoke(input map[string]any) (any, error) {
	function, _ := input["FunctionName"].(string)
	result, functionError, err := m.invoker.Invoke(m.ctx, function, encode(input["Payload"]))
	if err != nil {
		return nil, &Error{"Lambda.SdkClientException", err.Error()}
	}
	if functionError != "" {
		fault := struct{ ErrorType string }{"Lambda.Unknown"}
		_ = json.Unmarshal(result, &fault) // it keeps the name where there is none
		return nil, &Error{fault.ErrorType, string(result)}
	}
	var payload any
	if json.Unmarshal(result, &payload) != nil {
		payload = string(result)
	}
	return map[string]any{"Payload": payload}, nil
}

// renew is the task that starts an execution.
func (m *Machine) renew(input map[string]any) (any, error) {
	if input["StateMachineArn"] != m.arn {
		return nil, &Error{"StepFunctions.StateMachineDoesNotExistException", fmt.Sprint(input["StateMachineArn"])}
	}
	name, _ := input["Name"].(string)
	x, err := m.Start(name, encode(input["Input"]))
	var named *Error
	if errors.As(err, &named) {
		return nil, &Error{"StepFunctions." + named.Name + "Exception", named.Cause}
	}
	return map[string]any{"ExecutionArn": x.ARN}, nil
}

func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // all data was JSON
	}
	return text
}

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
	x.end(status, failed.Name, failed.Cause)
}

// end records how the execution ended, if it is running.
func (x *execution) end(status types.ExecutionStatus, name, cause string) {
	x.machine.mu.Lock()
	defer x.machine.mu.Unlock()
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
	return x.sleep(time.Duration(seconds) * time.Second)
}

// sleep waits, unless the execution is stopped.
func (x *execution) sleep(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-x.ctx.Done():
		return x.ctx.Err()
	}
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
next:
	for {
		if err := x.record(3); err != nil {
			return nil, err
		}
		result, err := x.once(s, input)
		var failed *Error
		if !errors.As(err, &failed) {
			return result, err
		}
		for i, r := range s.Retry {
			if !r.ErrorEquals.match(failed) {
				continue
			}
			if retries[i] >= *r.MaxAttempts {
				return nil, failed
			}
			if err := x.sleep(r.delay(retries[i], x.machine.jitter())); err != nil {
				return nil, err
			}
			retries[i]++
			continue next
		}
		return nil, failed
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
	timer := time.NewTimer(time.Duration(s.TimeoutSeconds * float64(time.Second)))
	defer timer.Stop()
	select {
	case a := <-answered:
		return a.result, a.err
	case <-timer.C:
		return nil, &Error{errTimeout, fmt.Sprintf("%s did not respond within %v s", s.Resource, s.TimeoutSeconds)}
	case <-x.ctx.Done():
		return nil, x.ctx.Err()
	}
}
