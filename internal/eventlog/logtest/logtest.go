// Package logtest is the conformance suite of package eventlog: it tests what the doc
// comments promise. Every adapter runs it, including the fake that other packages' tests
// use, so that results with the fake hold for the others.
package logtest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// Harness is a log under test.
type Harness struct {
	Log eventlog.Log
	// Trim deletes the segments whose events are all older than the given time. If it is
	// nil, the tests that need it are skipped.
	Trim func(ctx context.Context, before time.Time) error
	// Damage changes a byte of a stored segment, and makes the log forget what it keeps
	// in memory.
	Damage func(t *testing.T, p event.Partition, number uint64)
	// Margin is by how much the log's results by time may err on the safe side, 0 if
	// they are exact.
	Margin time.Duration
}

// Open returns a new, empty log that reads the given clock, and closes it with
// t.Cleanup.
type Open func(t *testing.T, now func() time.Time) Harness

type test func(t *testing.T, h Harness, clock *Clock)

// Run runs the suite. Its tests run in parallel if open calls t.Parallel.
func Run(t *testing.T, open Open) { run(t, open, appends, sources, reads, rests, times) }

// RunWithoutTimes runs the suite without the tests of Seek and OffsetForTime.
func RunWithoutTimes(t *testing.T, open Open) { run(t, open, appends, sources, reads, rests) }

func run(t *testing.T, open Open, groups ...map[string]test) {
	for _, group := range groups {
		for name, test := range group {
			t.Run(name, func(t *testing.T) {
				clock := &Clock{at: base.Add(time.Hour)}
				h := open(t, clock.Now)
				t.Logf("adapter %T", h.Log)
				test(t, h, clock)
			})
		}
	}
}

// Clock is a clock that a test sets.
type Clock struct {
	mu sync.Mutex
	at time.Time
}

// Now returns the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// Set moves the clock, backwards too.
func (c *Clock) Set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

var (
	base = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	part = event.Partition{Tenant: "tenant-a", Lane: 0}
)

func idOf(i int) string { return fmt.Sprintf("6f1c4f0e-0000-4000-8000-%012d", i) }

// anEvent is the i-th event of the suite in a partition.
func anEvent(p event.Partition, i int, at time.Time) event.Event {
	payload := fmt.Appendf(nil, `{"number":%d,"text":"ünïcode \u0000 \"quoted\""}`, i)
	return event.Draft{ID: idOf(i), Name: fmt.Sprintf("order.kind_%d", i%3), Payload: payload}.Stamp(p.Tenant, at)
}

// events returns n events, numbered from the given number, a millisecond apart from
// base on.
func events(from, n int) []event.Event {
	var list []event.Event
	for i := range n {
		list = append(list, anEvent(part, from+i, base.Add(time.Duration(from+i)*time.Millisecond)))
	}
	return list
}

// add appends events without a source.
func add(t *testing.T, h Harness, p event.Partition, events []event.Event) uint64 {
	t.Helper()
	return addRecords(t, h, p, "", eventlog.Unnamed(events...))
}

func addRecords(t *testing.T, h Harness, p event.Partition, source string, records []eventlog.Record) uint64 {
	t.Helper()
	n, err := h.Log.Append(t.Context(), p, source, records)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	return n
}

func readAfter(t *testing.T, h Harness, p event.Partition, after uint64, maxBytes int) []eventlog.Segment {
	t.Helper()
	segments, err := h.Log.Read(t.Context(), p, after, maxBytes)
	if err != nil {
		t.Fatalf("Read after %d: %v", after, err)
	}
	return segments
}

// readAll reads a partition to its end, a few segments at a time.
func readAll(t *testing.T, h Harness, p event.Partition, after uint64) []eventlog.Segment {
	t.Helper()
	var all []eventlog.Segment
	for {
		segments := readAfter(t, h, p, after, 1<<10)
		if len(segments) == 0 {
			return all
		}
		all = append(all, segments...)
		after = segments[len(segments)-1].Number
	}
}

func endIs(t *testing.T, h Harness, p event.Partition, want uint64) {
	t.Helper()
	end, err := h.Log.End(t.Context(), p)
	if err != nil || end != want {
		t.Errorf("End of %v: got %d, %v, want %d", p, end, err, want)
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func numbers(segments []eventlog.Segment) []uint64 {
	var list []uint64
	for i := range segments {
		list = append(list, segments[i].Number)
	}
	return list
}

func (h Harness) trim(t *testing.T, before time.Time) {
	t.Helper()
	if h.Trim == nil {
		t.Skipf("%T cannot be trimmed", h.Log)
	}
	if err := h.Trim(t.Context(), before); err != nil {
		t.Fatalf("Trim: %v", err)
	}
}
