package asl

import (
	"context"
	"errors"
	"time"
)

// execution is one execution of a state machine.
type execution struct {
	service    *Service
	definition *Definition
	ctx        context.Context // ends when it is stopped
	stop       context.CancelCauseFunc
	about      Execution // guarded by the service's mu
}

// run executes states until there is none, or an error that nobody caught.
func (x *execution) run(data any) {
	output, err := x.through(data)
	x.service.mu.Lock()
	defer x.service.mu.Unlock()
	var failed *Error
	switch {
	case err == nil:
		x.end(Execution{Status: Succeeded, Output: write(output)})
	case errors.As(err, &failed):
		x.end(Execution{Status: Failed, Error: failed.Name, Cause: failed.Cause})
	case x.ctx.Err() != nil:
		x.end(Execution{Status: Aborted, Cause: "the interpreter was closed"})
	default:
		x.end(Execution{Status: Failed, Error: errRuntime, Cause: err.Error()})
	}
}

// through executes states. The history has one event for the start, one for
// entering and one for leaving each state, three for each try of a task, and
// one for the end.
func (x *execution) through(data any) (any, error) {
	if err := x.record(1); err != nil {
		return nil, err
	}
	for name := x.definition.startAt; name != ""; {
		if err := x.record(1); err != nil {
			return nil, err
		}
		var err error
		if data, name, err = x.definition.states[name].execute(x, data); err != nil {
			return nil, err
		}
		if err := x.record(1); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// record adds events to the history, which always has room for the end.
func (x *execution) record(events int) error {
	x.service.mu.Lock()
	defer x.service.mu.Unlock()
	if x.about.Events+events >= MaxEvents {
		return runtime("the execution reached the maximum number of history events (%d)", MaxEvents)
	}
	x.about.Events += events
	return nil
}

// pause waits, unless the execution is stopped.
func (x *execution) pause(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-x.ctx.Done():
		return context.Cause(x.ctx)
	}
}

// end writes how the execution ended, if it runs. The service's mu is held.
func (x *execution) end(how Execution) {
	if x.about.Status != Running {
		return
	}
	x.about.Status, x.about.Output = how.Status, how.Output
	x.about.Error, x.about.Cause = how.Error, how.Cause
	x.about.Events++
	x.about.Stopped = time.Now()
	x.stop(context.Canceled)
}
