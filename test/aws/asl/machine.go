package asl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
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

// find returns nil if there is none. It is called with the lock held.
func (m *Machine) find(arn string) *execution {
	if i := slices.IndexFunc(m.executions, func(x *execution) bool { return x.about.ARN == arn }); i >= 0 {
		return m.executions[i]
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
