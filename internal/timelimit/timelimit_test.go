package timelimit

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

const limit = 10 * time.Second

var errLate = errors.New("late")

// bubble runs a test with a context that ends after it, and Calls of that.
func bubble(t *testing.T, test func(ctx context.Context, cancel context.CancelFunc, calls *Calls)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		calls := New(ctx)
		defer calls.Close()
		test(ctx, cancel, calls)
	})
}

// ends fails unless the call ends after the given time, and with the cause.
func ends(t *testing.T, c *Call, after time.Duration, cause error) {
	t.Helper()
	began := time.Now()
	<-c.Done()
	if took := time.Since(began); took != after || !errors.Is(context.Cause(c), cause) {
		t.Errorf("it ended after %v with %v, want %v and %v", took, context.Cause(c), after, cause)
	}
	c.End()
}

func TestEachCallHasTheWholeLimit(t *testing.T) {
	bubble(t, func(ctx context.Context, _ context.CancelFunc, calls *Calls) {
		for range 5 {
			c := Begin(calls, limit, errLate)
			time.Sleep(limit - 1)
			if c.Err() != nil {
				t.Fatalf("a call ended before its limit: %v", context.Cause(c))
			}
			c.End()
			time.Sleep(2 * limit) // no call, no limit
		}
		ends(t, Begin(calls, limit, errLate), limit, errLate)
		ends(t, Begin(ctx, limit, errLate), limit, errLate)
	})
}

func TestALateCallEndsNoOther(t *testing.T) {
	bubble(t, func(ctx context.Context, _ context.CancelFunc, calls *Calls) {
		ends(t, Begin(calls, limit, errLate), limit, errLate)
		if calls.Err() != nil || ctx.Err() != nil {
			t.Errorf("the context of the calls ended with one that was late: %v, %v", calls.Err(), ctx.Err())
		}
		other := errors.New("other")
		ends(t, Begin(calls, 2*limit, other), 2*limit, other)
	})
}

// The timer fires as the call ends, and its function runs later.
func TestALimitThatPassesAsItsCallEndsDoesNotEndTheNext(t *testing.T) {
	for range 200 {
		bubble(t, func(_ context.Context, _ context.CancelFunc, calls *Calls) {
			c := Begin(calls, limit, errLate)
			time.Sleep(limit)
			c.End()
			c = Begin(calls, limit, errLate)
			synctest.Wait()
			if c.Err() != nil {
				t.Fatalf("the next call ended as it began: %v", context.Cause(c))
			}
			c.End()
		})
	}
}

func TestCallsEndWithTheirParent(t *testing.T) {
	bubble(t, func(_ context.Context, cancel context.CancelFunc, calls *Calls) {
		Begin(calls, limit, errLate).End()
		c := Begin(calls, limit, errLate)
		time.AfterFunc(time.Second, cancel)
		ends(t, c, time.Second, context.Canceled)
		ends(t, Begin(calls, limit, errLate), 0, context.Canceled)
		if calls.Err() == nil {
			t.Error("the context of the calls goes on without its parent")
		}
	})
}

func TestShorten(t *testing.T) {
	for passed, left := range map[time.Duration]time.Duration{
		0: time.Second, limit / 2: time.Second, limit - 2*time.Second: time.Second,
		limit - time.Second/2: time.Second / 2, // never longer than its limit
	} {
		bubble(t, func(_ context.Context, _ context.CancelFunc, calls *Calls) {
			Begin(calls, limit, errLate).End()
			c := Begin(calls, limit, errLate)
			time.Sleep(passed)
			c.Shorten(time.Second)
			ends(t, c, left, errLate)
		})
	}
}

// A call and its end give nothing back that the next one, or a stop, would wait for.
func TestAClosedContextLeavesNothing(t *testing.T) {
	bubble(t, func(_ context.Context, _ context.CancelFunc, calls *Calls) {
		c := Begin(calls, limit, errLate)
		c.End()
		if c.Err() != nil {
			t.Errorf("an ended call is shared no further: %v", c.Err())
		}
		if calls.Close(); c.Err() == nil {
			t.Error("what the calls shared outlives them")
		}
	})
}

func TestCallsInARowAllocateNothing(t *testing.T) {
	calls := New(t.Context())
	defer calls.Close()
	Begin(calls, limit, errLate).End()
	if n := testing.AllocsPerRun(100, func() { Begin(calls, limit, errLate).End() }); n > 0 {
		t.Errorf("a call allocates %v times", n)
	}
}

func BenchmarkCall(b *testing.B) {
	calls := New(b.Context())
	defer calls.Close()
	b.ReportAllocs()
	for b.Loop() {
		Begin(calls, limit, errLate).End()
	}
}

func BenchmarkCallAlone(b *testing.B) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		Begin(ctx, limit, errLate).End()
	}
}

// A call that was shortened is not lengthened by a later limit that ends after it.
func TestShortenNeverLengthens(t *testing.T) {
	bubble(t, func(_ context.Context, _ context.CancelFunc, calls *Calls) {
		for range 2 { // the second shares what the first one had
			c := Begin(calls, limit, errLate)
			c.Shorten(limit / 5)
			c.Shorten(limit / 2)
			ends(t, c, limit/5, errLate)
			c = Begin(calls, limit, errLate)
			c.Shorten(limit / 2)
			c.Shorten(limit / 5)
			c.End()
		}
		ends(t, Begin(calls, limit, errLate), limit, errLate)
	})
}
