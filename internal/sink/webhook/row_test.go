package webhook

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/sink"
	"github.com/sluicehq/sluice/internal/timelimit"
)

// Calls in a row share their time limit: one that was late, or whose response had no end,
// takes nothing from the next.
func TestCallsInARowHaveTheirOwnLimits(t *testing.T) {
	const ok, endless, none = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", ""
	timeout := options().Timeout
	row := []struct {
		response string
		after    time.Duration
		want     sink.Outcome
		took     time.Duration
	}{
		{ok, 0, sink.Delivered, 0},
		{ok, timeout - time.Second, sink.Delivered, timeout - time.Second},
		{none, 0, sink.Retry, timeout},
		{ok, timeout - time.Second, sink.Delivered, timeout - time.Second},
		{endless, 0, sink.Delivered, drainTimeout},
		{endless, timeout - drainTimeout/2, sink.Delivered, timeout},
		{none, 0, sink.Retry, timeout},
		{ok, timeout - time.Second, sink.Delivered, timeout - time.Second},
	}
	synctest.Test(t, func(t *testing.T) {
		var next atomic.Int32
		client := inMemory(t, func(c net.Conn, r *bufio.Reader) {
			for readRequest(r) {
				call := row[next.Load()]
				time.Sleep(call.after)
				_, _ = io.WriteString(c, call.response)
			}
		})
		sender := open(t, client, hookTo("http://example.com/"))
		calls := timelimit.New(t.Context())
		defer calls.Close()
		for i, call := range row {
			next.Store(int32(i))
			began := time.Now()
			v := sender.Send(calls, sample(), 1)
			if took := time.Since(began); v.Outcome != call.want || took != call.took {
				t.Errorf("call %d: %+v after %v, want %v after %v", i, v, took, call.want, call.took)
			}
			if late := strings.Contains(v.Reason, "no response within 10s"); late != (call.want == sink.Retry) {
				t.Errorf("call %d: %+v", i, v)
			}
		}
	})
}

// A stop in the middle of a row interrupts the call in flight, which does not count.
func TestAStopInterruptsACallInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sender := open(t, inMemory(t, silent), hookTo("http://example.com/"))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		calls := timelimit.New(ctx)
		defer calls.Close()
		for range 2 { // the second one is not made
			if v := sender.Send(calls, sample(), 1); v != (sink.Verdict{Outcome: sink.Interrupted}) {
				t.Errorf("Send = %+v, want it interrupted", v)
			}
		}
	})
}
