package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
)

// life is the part of testing.TB that a deployment uses: failing and cleaning up. A
// program has no test, and testing.TB can only be implemented by embedding it; no
// other method is called.
type life struct {
	testing.TB
	ctx      context.Context
	cleanups []func()
	err      error
}

// whileRunning calls f with a life, and ends it.
func whileRunning(ctx context.Context, f func(*life) error) error {
	t := &life{ctx: ctx}
	done := make(chan struct{})
	go func() { // which Fatalf ends
		defer close(done)
		defer t.end()
		t.fail(f(t))
	}()
	<-done
	return t.err
}

func (t *life) end() {
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
}

func (t *life) fail(err error) { t.err = errors.Join(t.err, err) }

// The methods implement testing.TB.

func (t *life) Helper()                  {}
func (t *life) Context() context.Context { return t.ctx }
func (t *life) Cleanup(f func())         { t.cleanups = append(t.cleanups, f) }
func (t *life) Failed() bool             { return t.err != nil }

func (t *life) Errorf(format string, args ...any) { t.fail(fmt.Errorf(format, args...)) }

func (t *life) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

func (t *life) Fatal(args ...any) { t.Fatalf("%s", fmt.Sprint(args...)) }

// Skipf is called if an emulator is not installed.
func (t *life) Skipf(format string, args ...any) { t.Fatalf(format, args...) }
