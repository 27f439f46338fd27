package statemachine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/go-json-experiment/json"

	"github.com/sluicehq/sluice/internal/handoff"
)

// SFN is the call that a Scheduler makes; *sfn.Client implements it.
type SFN interface {
	StartExecution(ctx context.Context, in *sfn.StartExecutionInput, options ...func(*sfn.Options)) (*sfn.StartExecutionOutput, error)
}

// Scheduler starts an execution for each cursor of a replay that is due, and sends a message for
// any other. Set the exported fields; Schedule and Wait
// are safe for concurrent use.
type Scheduler struct {
	SFN     SFN
	ARN     string // of the state machine
	Cursors Cursors
	// Replay reports whether a cursor is of a replay. It is not if its integration does not exist.
	Replay func(ctx context.Context, k handoff.Key) (bool, error)
	Send   func(ctx context.Context, s State) error // to the queue
	Logger *slog.Logger
	Now    func() time.Time
	// Salt, unless "", is part of the names of executions: up to 33 characters of
	// A-Z, a-z, 0-9, _ and -. The sweep sets the time of its run, because the
	// version of a cursor that it finds may have had an execution already, and a
	// name cannot be used again for 90 days. It must not be set while executions
	// are being started.
	Salt string

	mu      sync.Mutex
	queue   []handoff.Key
	queued  map[handoff.Key]bool
	workers int
	idle    chan struct{} // closed when the last worker ends
}

const (
	maxWorkers   = 8
	startTimeout = 5 * time.Second // of one cursor's start
)

// Schedule starts what advances each cursor that has a due time. It implements
// Schedule of delivery.Engine and of lifecycle.Service: it returns at once and
// works in the background; call Wait before the Lambda handler returns. A start
// that fails is logged, and the sweep retries it.
func (s *Scheduler) Schedule(keys ...handoff.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queued == nil {
		s.queued = map[handoff.Key]bool{}
	}
	for _, k := range keys {
		if s.queued[k] { // its cursor has not been read yet
			continue
		}
		s.queued[k] = true
		s.queue = append(s.queue, k)
		if s.workers < maxWorkers {
			if s.workers == 0 {
				s.idle = make(chan struct{})
			}
			s.workers++
			go s.work()
		}
	}
}

// Start is Schedule that returns when every key is processed.
func (s *Scheduler) Start(keys ...handoff.Key) {
	s.Schedule(keys...)
	s.Wait()
}

// Wait returns when every key passed to Schedule before is processed. Lambda
// freezes a function when its handler returns, goroutines included.
func (s *Scheduler) Wait() {
	s.mu.Lock()
	idle := s.idle
	s.mu.Unlock()
	if idle != nil {
		<-idle
	}
}

// work processes keys until the queue is empty.
func (s *Scheduler) work() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) > 0 {
		k := s.queue[0]
		s.queue = s.queue[1:]
		delete(s.queued, k)
		s.mu.Unlock()
		if err := s.start(k); err != nil {
			s.Logger.Error("cursor not scheduled; the sweep will retry",
				"tenant", k.Tenant, "integration", k.Integration, "lane", k.Lane, "error", err)
		}
		s.mu.Lock()
	}
	s.workers--
	if s.workers == 0 {
		close(s.idle)
	}
}

func (s *Scheduler) start(k handoff.Key) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	c, err := dueCursor(ctx, s.Cursors, k)
	if err != nil || c == nil {
		return err
	}
	state := State{
		Tenant: k.Tenant, Integration: k.Integration, Lane: k.Lane,
		Version: versionOf(c), WaitSeconds: seconds(c.DueAt.Sub(s.Now())),
	}
	replay, err := s.Replay(ctx, k)
	if err != nil {
		return err
	}
	if !replay {
		return s.Send(ctx, state)
	}
	name := executionName(k, state.Version)
	if s.Salt != "" {
		name = executionName(k, state.Version, s.Salt)
	}
	input, err := json.Marshal(state)
	if err != nil {
		return err
	}
	_, err = s.SFN.StartExecution(ctx, &sfn.StartExecutionInput{
		StateMachineArn: aws.String(s.ARN), Name: aws.String(name), Input: aws.String(string(input)),
	})
	if _, exists := errors.AsType[*types.ExecutionAlreadyExists](err); exists {
		return nil
	}
	return err
}
