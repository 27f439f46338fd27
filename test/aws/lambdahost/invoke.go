package lambdahost

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// initTimeout limits how long a process may take until it polls for its first
// invocation: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html.
const initTimeout = 10 * time.Second

// unhandled is the X-Amz-Function-Error of every function that fails.
const unhandled = "Unhandled"

// Result is the result of an invocation.
type Result struct {
	Payload       []byte
	FunctionError string // "" or "Unhandled"; then Payload has errorType and errorMessage
	RequestID     string
	Duration      time.Duration // from dispatch to the response
	BilledMS      int64         // Duration, rounded up to a millisecond
	InitDuration  time.Duration // of a cold start: from the start of the process to its first poll; not in Duration
	CPU           time.Duration // of the process in this invocation, including a cold start; 0 when MaxRSS is
	MaxRSS        int64         // of the process so far, in bytes; 0 if unknown or the process is gone
}

type invocation struct {
	id       string
	trace    string
	payload  []byte
	deadline time.Time
	answered chan answer
	finished bool // guarded by the environment's lock
}

type answer struct {
	payload []byte
	failed  bool
	at      time.Time
}

// Invoke runs the function with the name or ARN and waits for its result. It returns
// an *Error if the function did not run. When the context ends, Invoke returns its
// error and the function keeps running, as in Lambda when the caller disconnects.
func (h *Host) Invoke(ctx context.Context, name string, payload []byte) (Result, error) {
	f, err := h.function(name)
	if err != nil {
		return Result{}, err
	}
	if len(payload) > maxPayload {
		return Result{}, &Error{413, "RequestTooLargeException", fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", maxPayload)}
	}
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	if err := h.enter(); err != nil {
		return Result{}, err
	}
	type outcome struct {
		Result
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		defer h.running.Done()
		r, err := f.invoke(payload)
		done <- outcome{r, err}
	}()
	select {
	case o := <-done:
		return o.Result, o.err
	case <-ctx.Done():
		return Result{}, context.Cause(ctx)
	}
}

func (f *function) invoke(payload []byte) (Result, error) {
	e, cold, err := f.acquire()
	if err != nil {
		return Result{}, err
	}
	i := &invocation{id: uuid.NewString(), trace: newTrace(), payload: payload, answered: make(chan answer, 1)}
	r := Result{RequestID: i.id}
	e.setCurrent(i)
	frozen := false
	if cold {
		frozen = e.initialize(i, &r)
	} else {
		e.thaw()
		frozen = true
	}
	if frozen {
		frozen = e.run(i, &r)
	}
	e.setCurrent(nil)
	r.BilledMS = int64((r.Duration + time.Millisecond - 1) / time.Millisecond)
	f.count(r)
	f.release(e, frozen)
	return r, nil
}

// initialize waits until the new process polls for its first invocation, and
// reports whether it did.
func (e *environment) initialize(i *invocation, r *Result) bool {
	limit := time.NewTimer(initTimeout)
	defer limit.Stop()
	select {
	case at := <-e.polls:
		r.InitDuration = at.Sub(e.started)
		return true
	case report := <-e.failed:
		r.fail(report)
	case <-e.dead:
		select {
		case report := <-e.failed: // it ended right after
			r.fail(report)
		default:
			r.fail(i.error("Runtime.ExitError", e.exitReason()))
		}
	case <-limit.C:
		r.fail(i.error("Sandbox.Timedout", timedOut(initTimeout)))
	}
	r.InitDuration = time.Since(e.started)
	e.end()
	return false
}

// run dispatches the invocation to the waiting process, and reports whether the
// process is waiting for the next one, frozen.
func (e *environment) run(i *invocation, r *Result) bool {
	started := time.Now()
	i.deadline = started.Add(e.fn.Timeout)
	limit := time.NewTimer(e.fn.Timeout)
	defer limit.Stop()
	select {
	case e.work <- i:
	case <-e.dead:
		r.fail(i.error("Runtime.ExitError", e.exitReason()))
		e.end()
		return false
	case <-limit.C: // it exited without a response
		r.timeOut(e, i)
		return false
	}
	select {
	case a := <-i.answered:
		r.take(a, started)
	case <-e.dead:
		select {
		case a := <-i.answered: // it ended right after
			r.take(a, started)
		default:
			r.Duration = time.Since(started)
			r.fail(i.error("Runtime.ExitError", e.exitReason()))
		}
		e.end()
		return false
	case <-limit.C:
		r.timeOut(e, i)
		return false
	}
	// An invocation is complete when the process polls for the next.
	select {
	case <-e.polls:
	case <-e.dead: // after a panic
		e.end()
		return false
	case <-limit.C:
		e.end()
		return false
	}
	e.freeze()
	r.MaxRSS = e.peakRSS()
	spent := cpuTime(e.cmd.Process.Pid)
	r.CPU, e.spent = spent-e.spent, spent
	return true
}

// end kills the process and waits until it is cleaned up.
func (e *environment) end() {
	e.kill()
	<-e.gone
}

func (r *Result) take(a answer, started time.Time) {
	r.Duration = a.at.Sub(started)
	r.Payload = a.payload
	if a.failed {
		r.FunctionError = unhandled
	}
}

func (r *Result) fail(payload []byte) { r.Payload, r.FunctionError = payload, unhandled }

func (r *Result) timeOut(e *environment, i *invocation) {
	r.MaxRSS = e.peakRSS()
	r.Duration = e.fn.Timeout
	r.fail(i.error("Sandbox.Timedout", timedOut(e.fn.Timeout)))
	e.end()
}

func (i *invocation) error(kind, message string) []byte {
	return errorPayload(kind, "RequestId: "+i.id+" Error: "+message)
}

func timedOut(limit time.Duration) string {
	return fmt.Sprintf("Task timed out after %.2f seconds", limit.Seconds())
}

// newTrace returns a tracing header for an unsampled trace:
// https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader.
func newTrace() string {
	return fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", time.Now().Unix(), newID(12), newID(8))
}

// newID returns n random bytes as hexadecimal digits.
func newID(n int) string {
	id := make([]byte, n)
	_, _ = rand.Read(id) // it cannot fail
	return hex.EncodeToString(id)
}
