package asl

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// Invoke runs a Lambda function. If the function fails, functionError is not empty. An
// err means that it did not run or that its response was lost. It returns when ctx ends.
type Invoke func(ctx context.Context, function string, payload []byte) (result []byte, functionError string, err error)

// Machine is a state machine with its executions, each in its own goroutine. As an
// http.Handler it serves the calls about executions that this repository makes.
type Machine struct {
	arn        string
	definition struct {
		Comment, StartAt string
		States           map[string]state
	}
	invoke  Invoke
	renew   func(machine, name, input string) (any, *Error) // start, but for tests
	jitter  func() float64                                  // from [0, 1), for the delays of retries
	ctx     context.Context
	close   context.CancelFunc
	running sync.WaitGroup

	mu         sync.Mutex
	executions map[string]execution // by ARN
}

type execution struct {
	ARN    string                `json:"executionArn"`
	Status types.ExecutionStatus `json:"status"`
	Input  string                `json:"input"`
	err    error                 // why it failed
	stop   context.CancelFunc
}

// Fill returns a definition with its placeholders replaced, as a deployment does.
func Fill(definition []byte, machineARN, functionARN string) []byte {
	values := strings.NewReplacer("${StateMachineArn}", machineARN, "${AdvanceFunctionArn}", functionARN)
	return []byte(values.Replace(string(definition)))
}

// New returns the state machine of a filled definition. Close ends it.
func New(arn string, definition []byte, invoke Invoke) (*Machine, error) {
	m := &Machine{arn: arn, invoke: invoke, jitter: rand.Float64, executions: map[string]execution{}}
	m.renew = m.start
	m.ctx, m.close = context.WithCancel(context.Background())
	d := json.NewDecoder(strings.NewReader(string(definition)))
	d.DisallowUnknownFields()
	return m, d.Decode(&m.definition)
}

// Close stops every execution and waits for them to end.
func (m *Machine) Close() {
	m.close()
	m.running.Wait()
}

// start starts an execution. Its name must be new, also where AWS is less strict.
func (m *Machine) start(machine, name, input string) (any, *Error) {
	arn := strings.Replace(m.arn, ":stateMachine:", ":execution:", 1) + ":" + name
	m.mu.Lock()
	defer m.mu.Unlock()
	if machine != m.arn || name == "" || m.ctx.Err() != nil {
		return nil, &Error{"StepFunctions.ValidationException", "cannot start " + arn + " of " + machine}
	}
	if _, taken := m.executions[arn]; taken {
		return nil, &Error{"StepFunctions.ExecutionAlreadyExistsException", arn}
	}
	ctx, stop := context.WithCancel(m.ctx)
	x := execution{ARN: arn, Status: types.ExecutionStatusRunning, Input: input, stop: stop}
	m.executions[arn] = x
	m.running.Go(func() {
		defer stop()
		x.err = m.run(ctx, []byte(input))
		m.mu.Lock()
		defer m.mu.Unlock()
		switch {
		case x.err == nil:
			x.Status = types.ExecutionStatusSucceeded
		case ctx.Err() != nil:
			x.Status = types.ExecutionStatusAborted
		default:
			x.Status = types.ExecutionStatusFailed
		}
		m.executions[arn] = x
	})
	return map[string]any{"executionArn": arn}, nil
}

// list returns the executions with the ARN and the status, or with any for "".
func (m *Machine) list(arn string, status types.ExecutionStatus) []execution {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := []execution{}
	for _, x := range m.executions {
		if (arn == "" || x.ARN == arn) && (status == "" || x.Status == status) {
			list = append(list, x)
		}
	}
	return list
}

// ServeHTTP serves StartExecution, ListExecutions, in one page, DescribeExecution and
// StopExecution. It panics if there is no such execution.
func (m *Machine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q struct {
		StateMachineArn, ExecutionArn, Name, Input string
		StatusFilter                               types.ExecutionStatus
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var response any
	var failed *Error
	switch found := m.list(q.ExecutionArn, q.StatusFilter); r.Header.Get("X-Amz-Target") {
	case "AWSStepFunctions.StartExecution":
		response, failed = m.start(q.StateMachineArn, q.Name, q.Input)
	case "AWSStepFunctions.ListExecutions":
		response = map[string]any{"executions": found}
	case "AWSStepFunctions.DescribeExecution":
		response = found[0]
	case "AWSStepFunctions.StopExecution":
		found[0].stop()
	default:
		failed = &Error{"UnknownOperation", r.Header.Get("X-Amz-Target")}
	}
	if failed != nil {
		name := strings.TrimSuffix(strings.TrimPrefix(failed.Name, "StepFunctions."), "Exception")
		response = map[string]string{"__type": name, "message": failed.Cause}
		w.WriteHeader(http.StatusBadRequest)
	}
	_, _ = w.Write(encode(response)) // the client is gone, if anything
}
