package lambdahost

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// Stats are a function's figures since it was added.
type Stats struct {
	Invocations int
	BilledMS    int64         // every invocation rounded up to a millisecond
	CPU         time.Duration // of all processes, user and system, except those that died in an invocation
}

// Error is Lambda's refusal to run a function:
// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors.
type Error struct {
	Status  int
	Code    string
	Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

var errClosed = errors.New("lambdahost: the host is closed")

type function struct {
	Function
	host *Host
	log  *os.File

	mu           sync.Mutex
	environments map[*environment]bool // true while free
	life         int                   // goes up with each Recycle
	closed       bool
	stats        Stats
}

// acquire returns a free environment or starts one, and reports whether it started
// one.
func (f *function) acquire() (*environment, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, false, errClosed
	}
	for e, free := range f.environments {
		if free && !e.alive() { // it was ended from outside
			delete(f.environments, e)
			continue
		}
		if free {
			f.environments[e] = false
			return e, false, nil
		}
	}
	e, err := newEnvironment(f)
	if err == nil {
		f.environments[e] = false
	}
	return e, true, err
}

// release ends an invocation. The environment is free again if its process waits
// for work, frozen.
func (f *function) release(e *environment, frozen bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if frozen && !f.closed && e.life == f.life {
		f.environments[e] = true
		return
	}
	delete(f.environments, e)
	e.end()
}

func (f *function) all() []*environment {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]*environment, 0, len(f.environments))
	for e := range f.environments {
		list = append(list, e)
	}
	return list
}

func (f *function) recycle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.life++
	for e, free := range f.environments {
		if free {
			delete(f.environments, e)
			e.end()
		}
	}
}

func (f *function) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	for _, e := range f.all() {
		e.end()
	}
}

func (f *function) count(r Result) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stats.Invocations++
	f.stats.BilledMS += r.BilledMS
	f.stats.CPU += r.CPU
}

// environ returns the variables of
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html, and none
// of the test process.
func (f *function) environ(address string) []string {
	list := []string{
		"AWS_LAMBDA_RUNTIME_API=" + address,
		"AWS_LAMBDA_FUNCTION_NAME=" + f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		fmt.Sprintf("AWS_LAMBDA_FUNCTION_MEMORY_SIZE=%d", f.MemoryMB),
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/" + f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME=" + time.Now().UTC().Format("2006/01/02") + "/[$LATEST]" + newID(16),
		"AWS_REGION=" + f.host.options.Region,
		"AWS_DEFAULT_REGION=" + f.host.options.Region,
		"AWS_ACCESS_KEY_ID=test",
		"AWS_SECRET_ACCESS_KEY=test",
		"AWS_SESSION_TOKEN=test",
		"_HANDLER=bootstrap",
		"LAMBDA_TASK_ROOT=/var/task",
		"LAMBDA_RUNTIME_DIR=/var/runtime",
		"LANG=en_US.UTF-8",
		"TZ=:UTC",
		"PATH=/usr/local/bin:/usr/bin:/bin:/opt/bin",
	}
	for k, v := range f.Env {
		list = append(list, k+"="+v) // the last of several wins
	}
	return list
}

// openLog returns an unlinked file, which disappears with this process, however it
// exits. The functions' processes inherit it and share its offset, so they append
// to it.
func openLog() (*os.File, error) {
	log, err := os.CreateTemp("", "lambdahost-log-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(log.Name()); err != nil {
		_ = log.Close()
		return nil, err
	}
	return log, nil
}

// bareName returns a function's name without the ARN and the version around it.
func bareName(name string) string {
	if _, rest, ok := strings.Cut(name, ":function:"); ok {
		name = rest
	}
	name, _, _ = strings.Cut(name, ":")
	return name
}
