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
	"unicode"
)

// The resources of tasks that a Service knows.
const (
	lambdaInvoke   = "arn:aws:states:::lambda:invoke"
	startExecution = "arn:aws:states:::states:startExecution"
)

// namesKept is for how long the name of an execution that ended stays taken.
const namesKept = 90 * 24 * time.Hour

// MaxEvents is how many events the history of an execution can have. One more
// fails it.
const MaxEvents = 25_000

// Status is what an execution is at.
type Status string

// The statuses of an execution.
const (
	Running   Status = "RUNNING"
	Succeeded Status = "SUCCEEDED"
	Failed    Status = "FAILED"
	Aborted   Status = "ABORTED"
)

// Execution is what can be told of an execution.
type Execution struct {
	ARN     string
	Machine string // its ARN
	Name    string
	Status  Status
	Input   json.RawMessage
	Output  json.RawMessage // of one that succeeded
	Error   string          // of one that failed or was stopped
	Cause   string
	Events  int // in its history
	Started time.Time
	Stopped time.Time // zero while it runs
}

// Service has state machines and executes them, each execution in a goroutine.
// Its methods are safe for concurrent use. Errors are of type *Error, by the
// names of the API of Step Functions.
type Service struct {
	tasks   map[string]Task
	jitter  func() float64
	ctx     context.Context // ends with Close
	close   context.CancelFunc
	running sync.WaitGroup

	mu         sync.Mutex
	machines   map[string]*Definition
	executions map[string]*execution // the last of each name, by ARN
	order      []*execution          // as they were started
}

// Options of a Service.
type Options struct {
	// Lambda is the task arn:aws:states:::lambda:invoke. Step Functions gives it
	// FunctionName and Payload and takes Payload for its answer.
	Lambda Task
	// Jitter draws from [0, 1) for the pauses of retries; nil for math/rand.
	// It must be safe for concurrent use.
	Jitter func() float64
}

// New returns a Service without state machines. Close ends it.
func New(o Options) *Service {
	s := &Service{
		jitter:     o.Jitter,
		machines:   map[string]*Definition{},
		executions: map[string]*execution{},
	}
	if s.jitter == nil {
		s.jitter = rand.Float64
	}
	s.ctx, s.close = context.WithCancel(context.Background())
	s.tasks = map[string]Task{lambdaInvoke: o.Lambda, startExecution: s.start}
	return s
}

// Close ends every execution and returns when nothing runs any more.
func (s *Service) Close() {
	s.close()
	s.running.Wait()
}

// Create adds a state machine, or gives the one of that ARN another definition
// for the executions to come.
func (s *Service) Create(arn string, d *Definition) error {
	if !strings.Contains(arn, ":stateMachine:") {
		return &Error{Name: "InvalidArn", Cause: fmt.Sprintf("%q is no ARN of a state machine", arn)}
	}
	for name, st := range d.states {
		if t, ok := st.(*task); ok && s.tasks[t.Resource] == nil {
			return &Error{Name: "InvalidDefinition", Cause: fmt.Sprintf("state %q has the Resource %q, which is not known here", name, t.Resource)}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.machines[arn] = d
	return nil
}

// Start begins an execution. One of that name with that input which runs is
// returned as it is. A name that is taken otherwise, by one that runs or that
// ended within 90 days, is ExecutionAlreadyExists.
func (s *Service) Start(machine, name string, input json.RawMessage) (Execution, error) {
	data, err := read(input)
	if err != nil {
		return Execution{}, &Error{Name: "InvalidExecutionInput", Cause: "the input is not JSON: " + err.Error()}
	}
	if !validName(name) {
		return Execution{}, &Error{Name: "InvalidName", Cause: fmt.Sprintf("%q is no name of an execution", name)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.machines[machine]
	if d == nil {
		return Execution{}, &Error{Name: "StateMachineDoesNotExist", Cause: fmt.Sprintf("there is no state machine %q", machine)}
	}
	arn := strings.Replace(machine, ":stateMachine:", ":execution:", 1) + ":" + name
	if x := s.executions[arn]; x != nil {
		switch {
		case x.about.Status == Running && string(x.about.Input) == string(input):
			return x.about, nil
		case x.about.Status == Running || time.Since(x.about.Stopped) < namesKept:
			return Execution{}, &Error{Name: "ExecutionAlreadyExists", Cause: fmt.Sprintf("the name of %s is taken", arn)}
		}
	}
	if s.ctx.Err() != nil {
		return Execution{}, &Error{Name: "ServiceClosed", Cause: "the interpreter was closed"}
	}
	x := &execution{service: s, definition: d, about: Execution{
		ARN: arn, Machine: machine, Name: name, Status: Running, Input: input, Started: time.Now(),
	}}
	x.ctx, x.stop = context.WithCancelCause(s.ctx)
	s.executions[arn] = x
	s.order = append(s.order, x)
	s.running.Go(func() { x.run(data) })
	return x.about, nil
}

// validName reports whether an execution may have that name.
func validName(name string) bool {
	return name != "" && len(name) <= 80 && !strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`<>{}[]?*"#%\^|~`+"`"+`$&,;:/`, r)
	})
}

// Describe returns one execution.
func (s *Service) Describe(arn string) (Execution, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, err := s.find(arn)
	if err != nil {
		return Execution{}, err
	}
	return x.about, nil
}

func (s *Service) find(arn string) (*execution, error) {
	if x := s.executions[arn]; x != nil {
		return x, nil
	}
	return nil, &Error{Name: "ExecutionDoesNotExist", Cause: fmt.Sprintf("there is no execution %q", arn)}
}

// List returns the executions of a state machine, the newest first, those of
// one status only unless it is "".
func (s *Service) List(machine string, status Status) ([]Execution, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.machines[machine] == nil {
		return nil, &Error{Name: "StateMachineDoesNotExist", Cause: fmt.Sprintf("there is no state machine %q", machine)}
	}
	var found []Execution
	for _, x := range slices.Backward(s.order) {
		if x.about.Machine == machine && (status == "" || x.about.Status == status) {
			found = append(found, x.about)
		}
	}
	return found, nil
}

// Stop ends an execution that runs. A task under way is not called back.
func (s *Service) Stop(arn, name, cause string) (Execution, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, err := s.find(arn)
	if err != nil {
		return Execution{}, err
	}
	x.end(Execution{Status: Aborted, Error: name, Cause: cause})
	return x.about, nil
}

// start is the task that starts an execution.
func (s *Service) start(_ context.Context, input json.RawMessage) (json.RawMessage, error) {
	var given struct {
		StateMachineArn string
		Name            string
		Input           json.RawMessage
	}
	if err := decode(input, &given); err != nil {
		return nil, runtime("the parameters of startExecution: %v", err)
	}
	x, err := s.Start(given.StateMachineArn, given.Name, given.Input)
	var named *Error
	if errors.As(err, &named) {
		return nil, &Error{Name: "StepFunctions." + named.Name + "Exception", Cause: named.Cause}
	}
	return write(map[string]any{"ExecutionArn": x.ARN, "StartDate": x.Started.UnixMilli()}), nil
}
