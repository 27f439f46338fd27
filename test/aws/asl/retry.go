package asl

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Error is an error as state machines know it: a name, by which it is retried
// or caught, and a cause for people.
type Error struct {
	Name  string
	Cause string
}

func (e *Error) Error() string { return e.Name + ": " + e.Cause }

// The names of errors that the interpreter gives itself.
const (
	errAll        = "States.ALL"
	errRuntime    = "States.Runtime"
	errTaskFailed = "States.TaskFailed"
	errTimeout    = "States.Timeout"
)

// runtime is an error of the definition or of the data. Nothing retries it.
func runtime(format string, args ...any) *Error {
	return &Error{Name: errRuntime, Cause: fmt.Sprintf(format, args...)}
}

// errorEquals are names of errors to be retried or caught.
type errorEquals []string

func (names errorEquals) match(e *Error) bool {
	if e.Name == errRuntime {
		return false
	}
	return slices.ContainsFunc(names, func(name string) bool {
		return name == e.Name || name == errAll || name == errTaskFailed && e.Name != errTimeout
	})
}

// checkLast checks the names of one of several in order.
func (names errorEquals) check(last bool) error {
	if len(names) == 0 {
		return errors.New("ErrorEquals is empty")
	}
	for _, name := range names {
		switch {
		case name == errAll && (len(names) > 1 || !last):
			return errors.New("States.ALL must stand alone, in the last place")
		case strings.HasPrefix(name, "States.") && name != errAll && name != errTaskFailed && name != errTimeout:
			return fmt.Errorf("%s is no error that can be retried or caught here", name)
		}
	}
	return nil
}

// retrier is one element of Retry. The numbers are those that Step Functions
// takes where a definition has none.
type retrier struct {
	Comment         string
	ErrorEquals     errorEquals
	IntervalSeconds *float64
	BackoffRate     *float64
	MaxDelaySeconds *float64
	MaxAttempts     *int
	JitterStrategy  string
}

func (r *retrier) check(last bool) error {
	interval, rate, delay, attempts := r.numbers()
	switch {
	case interval < 1 || interval != math.Trunc(interval):
		return fmt.Errorf("IntervalSeconds is %v, must be a whole number from 1", interval)
	case rate < 1:
		return fmt.Errorf("BackoffRate is %v, must be 1 or more", rate)
	case delay <= interval:
		return fmt.Errorf("MaxDelaySeconds is %v, must be above IntervalSeconds", delay)
	case attempts < 0:
		return fmt.Errorf("MaxAttempts is %d", attempts)
	case r.JitterStrategy != "" && r.JitterStrategy != "FULL" && r.JitterStrategy != "NONE":
		return fmt.Errorf("JitterStrategy is %q, must be FULL or NONE", r.JitterStrategy)
	}
	return r.ErrorEquals.check(last)
}

func (r *retrier) numbers() (interval, rate, delay float64, attempts int) {
	return or(r.IntervalSeconds, 1), or(r.BackoffRate, 2), or(r.MaxDelaySeconds, math.MaxInt32), or(r.MaxAttempts, 3)
}

func or[T any](p *T, value T) T {
	if p != nil {
		return *p
	}
	return value
}

// pause is how long to wait before a retry, of which done were made before. It
// is false when there is none any more.
func (r *retrier) pause(done int, jitter func() float64) (time.Duration, bool) {
	interval, rate, delay, attempts := r.numbers()
	if done >= attempts {
		return 0, false
	}
	d := time.Duration(min(interval*math.Pow(rate, float64(done)), delay) * float64(time.Second))
	if r.JitterStrategy == "FULL" {
		d = time.Duration(jitter() * float64(d))
	}
	return d, true
}

// catcher is one element of Catch. The error takes the place of the data.
type catcher struct {
	Comment     string
	ErrorEquals errorEquals
	Next        string
}
