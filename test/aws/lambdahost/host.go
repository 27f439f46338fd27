// Package lambdahost runs real Lambda bootstraps. It provides both sides of AWS
// Lambda: the Runtime API for functions and Invoke for callers.
//
// Each concurrent invocation has its own process. A free process is reused; it is
// stopped (SIGSTOP) from when it polls for its next invocation until it gets one, as
// Lambda freezes execution environments:
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html.
// The Runtime API is that of
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
//
// It differs from Lambda in three ways: memory is measured but not limited; a failed
// start is not retried within the same invocation; and Invoke returns only once the
// process is frozen or gone, so that tests are deterministic.
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

// Options says where the functions appear to run. The zero value is usable.
type Options struct {
	Region  string // eu-west-1 when empty
	Account string // 123456789012 when empty
}

// Function is the configuration of a function.
type Function struct {
	Name     string
	Path     string // of its bootstrap, built for this machine
	Env      map[string]string
	Timeout  time.Duration // of one invocation; 3 s when 0
	MemoryMB int           // the memory reported to the function; 128 when 0
}

// Host has functions and their processes. Its methods are safe for concurrent use.
type Host struct {
	options Options
	guard   guard
	running sync.WaitGroup // invocations in progress

	mu        sync.Mutex
	functions map[string]*function
	closed    bool
}

// New returns a host without functions. The caller must close it.
func New(o Options) *Host {
	if o.Region == "" {
		o.Region = "eu-west-1"
	}
	if o.Account == "" {
		o.Account = "123456789012"
	}
	return &Host{options: o, functions: map[string]*function{}}
}

// ARN returns the ARN of a function.
func (h *Host) ARN(name string) string {
	return fmt.Sprintf("arn:aws:lambda:%s:%s:function:%s", h.options.Region, h.options.Account, name)
}

// AddFunction adds a function. It starts no process before the first invocation.
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

// Kill kills the processes that are busy with an invocation, as when Lambda loses a
// machine, and returns their number. Their invocations fail with Runtime.ExitError.
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

// Recycle makes later invocations start new processes: it ends free processes, and
// busy ones when they finish.
func (h *Host) Recycle(name string) {
	if f, err := h.function(name); err == nil {
		f.recycle()
	}
}

// Log returns what the function's processes have written to standard output and
// standard error. When Invoke returns, it has all that the process wrote before it
// responded.
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

// Close kills all processes and waits until they are gone. Invocations in progress
// fail. Log and Stats keep working.
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

// enter registers an invocation for Close to wait for.
func (h *Host) enter() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errClosed
	}
	h.running.Add(1)
	return nil
}

// Invoker invokes a function and waits for its result. functionError is empty, or
// "Unhandled" if the function failed and result says why; err is not nil if it did
// not run.
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
