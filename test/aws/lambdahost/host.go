// Package lambdahost runs real Lambda bootstraps: it is the side of AWS Lambda
// that a function sees, the Runtime API, and the side that a caller sees,
// Invoke.
//
// Each concurrent invocation has a process of its own, which is used again when
// it is free, and which is stopped (SIGSTOP) from the moment it asks for its
// next invocation until it has one, as Lambda freezes execution environments:
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html.
// The Runtime API is that of
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
//
// It differs from Lambda in this: memory is measured and not limited; a failed
// start is not tried a second time within the same invocation; and Invoke
// returns only when the process has been frozen, or is gone, so that what a test
// looks at next does not depend on chance.
package lambdahost

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Options says where the functions seem to run. The zero value is good.
type Options struct {
	Region  string // eu-west-1 when empty
	Account string // 123456789012 when empty
}

// Function is what a function is deployed with.
type Function struct {
	Name     string
	Path     string // of its bootstrap, built for this machine
	Env      map[string]string
	Timeout  time.Duration // of one invocation; 3 s when 0
	MemoryMB int           // what the function is told that it has; 128 when 0
}

// Host has functions and their processes. Its methods may be called side by
// side.
type Host struct {
	options Options
	guard   guard
	running sync.WaitGroup // invocations under way

	mu        sync.Mutex
	functions map[string]*function
	closed    bool
}

// New returns a host without functions. It must be closed.
func New(o Options) *Host {
	if o.Region == "" {
		o.Region = "eu-west-1"
	}
	if o.Account == "" {
		o.Account = "123456789012"
	}
	return &Host{options: o, functions: map[string]*function{}}
}

// ARN returns the name in full of a function.
func (h *Host) ARN(name string) string {
	return fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", h.options.Region, h.options.Account, name)
}

// AddFunction adds a function. Nothing is started before its first invocation.
func (h *Host) AddFunction(f Function) error {
	if f.Timeout <= 0 {
		f.Timeout = 3 * time.Second
	}
	if f.MemoryMB <= 0 {
		f.MemoryMB = 128
	}
	path, err := filepath.Abs(f.Path)
	if err != nil {
		return fmt.Errorf("function %s: %w", f.Name, err)
	}
	f.Path = path
	if _, err := os.Stat(f.Path); err != nil {
		return fmt.Errorf("function %s: %w", f.Name, err)
	}
	log, err := openLog()
	if err != nil {
		return fmt.Errorf("function %s: %w", f.Name, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, taken := h.functions[f.Name]; taken || f.Name == "" || h.closed {
		return fmt.Errorf("function %q: the name is empty or taken, or the host is closed", f.Name)
	}
	h.functions[f.Name] = &function{Function: f, host: h, log: log, environments: map[*environment]bool{}}
	return nil
}

// Kill ends the processes that are busy with an invocation right now, as when
// Lambda loses a machine, and returns how many those were. Their invocations
// fail with Runtime.ExitError.
func (h *Host) Kill(name string) int {
	f, err := h.function(name)
	if err != nil {
		return 0
	}
	killed := 0
	for _, e := range f.all() {
		if e.busy() {
			e.kill()
			killed++
		}
	}
	return killed
}

// Recycle lets every later invocation start a process of its own: those that
// are free are ended, those that are busy when they have finished.
func (h *Host) Recycle(name string) {
	if f, err := h.function(name); err == nil {
		f.recycle()
	}
}

// Log returns what the function's processes have written so far, to either
// output. What a process wrote before it answered is there when Invoke returns.
func (h *Host) Log(name string) []byte {
	f, err := h.function(name)
	if err != nil {
		return nil
	}
	text, _ := io.ReadAll(io.NewSectionReader(f.log, 0, 1<<62))
	return text
}

// Stats returns the function's figures so far.
func (h *Host) Stats(name string) Stats {
	f, err := h.function(name)
	if err != nil {
		return Stats{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats
}

// Close ends all processes and waits until they are gone. Invocations under
// way fail. Log and Stats still answer.
func (h *Host) Close() {
	h.mu.Lock()
	h.closed = true
	functions := make([]*function, 0, len(h.functions))
	for _, f := range h.functions {
		functions = append(functions, f)
	}
	h.mu.Unlock()
	for _, f := range functions {
		f.close()
	}
	h.running.Wait()
	h.guard.close()
}

func (h *Host) function(name string) (*function, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.functions[bareName(name)]
	if f == nil {
		return nil, &Error{404, "ResourceNotFoundException", "Function not found: " + h.ARN(bareName(name))}
	}
	return f, nil
}

// enter counts an invocation, for Close to wait for.
func (h *Host) enter() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errClosed
	}
	h.running.Add(1)
	return nil
}

// Invoker invokes a function and waits for its answer. functionError is empty,
// or "Unhandled" where the function failed and result tells why; err is not nil
// where it was not run at all.
type Invoker interface {
	Invoke(ctx context.Context, function string, payload []byte) (result []byte, functionError string, err error)
}

// Invoker returns the host as an Invoker.
func (h *Host) Invoker() Invoker { return invoker{h} }

type invoker struct{ host *Host }

func (i invoker) Invoke(ctx context.Context, function string, payload []byte) ([]byte, string, error) {
	r, err := i.host.Invoke(ctx, function, payload)
	return r.Payload, r.FunctionError, err
}
