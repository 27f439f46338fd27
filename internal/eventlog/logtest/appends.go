package logtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

var appends = map[string]test{
	"numbers are dense from 1": func(t *testing.T, h Harness, _ *Clock) {
		endIs(t, h, part, 0)
		for i := range uint64(20) {
			if n := add(t, h, part, events(int(i), 1)); n != i+1 {
				t.Fatalf("append %d has the number %d", i+1, n)
			}
			endIs(t, h, part, i+1)
		}
	},
	"events are read as they were appended": func(t *testing.T, h Harness, _ *Clock) {
		want := []eventlog.Segment{{Number: 1, Events: events(0, 5)}, {Number: 2, Events: events(5, 1)}, {Number: 3, Events: events(6, 30)}}
		for _, s := range want {
			add(t, h, part, s.Events)
		}
		equal(t, "segments", readAfter(t, h, part, 0, 1<<20), want)
	},
	"large events": func(t *testing.T, h Harness, _ *Clock) {
		var want []event.Event
		for i := range 4 {
			payload := append([]byte(`{"a":"`), bytes.Repeat([]byte{'a' + byte(i)}, 256<<10)...)
			want = append(want, event.Draft{ID: idOf(i), Name: "order.created", Payload: append(payload, `"}`...)}.Stamp(part.Tenant, base))
		}
		add(t, h, part, want)
		got := readAfter(t, h, part, 0, 1)
		if len(got) != 1 || len(got[0].Events) != len(want) {
			t.Fatalf("got %d segments, want 1 of %d events", len(got), len(want))
		}
		for i := range want {
			if !bytes.Equal(got[0].Events[i].Body, want[i].Body) {
				t.Errorf("body %d is not the one appended", i)
			}
		}
	},
	"concurrent appends to one partition": func(t *testing.T, h Harness, _ *Clock) {
		const appenders, each = 8, 10
		var mu sync.Mutex
		want := map[uint64]string{} // the id appended under each number
		atOnce(appenders, func(i int) {
			for j := range each {
				e := anEvent(part, i*each+j, base)
				n, err := h.Log.Append(t.Context(), part, "", eventlog.Unnamed(e))
				if err != nil {
					t.Errorf("Append: %v", err)
					return
				}
				mu.Lock()
				want[n] = e.ID
				mu.Unlock()
			}
		})
		got := map[uint64]string{}
		for i, s := range readAll(t, h, part, 0) {
			if s.Number != uint64(i+1) {
				t.Fatalf("segment %d has the number %d", i+1, s.Number)
			}
			got[s.Number] = s.Events[0].ID
		}
		equal(t, "segments", got, want)
		endIs(t, h, part, appenders*each)
	},
	"partitions are separate": func(t *testing.T, h Harness, _ *Clock) {
		var all []event.Partition
		for _, tenant := range []string{"a", "ab", "a/0", "a#0", "a:0", "a\x00", "a\x00b", "A", "a'", "a%", "\u00e9", "e\u0301", "0"} {
			for lane := range 3 {
				all = append(all, event.Partition{Tenant: tenant, Lane: lane})
			}
		}
		for i, p := range all {
			for j := range i%3 + 1 {
				if n := addRecords(t, h, p, "same source", []eventlog.Record{{Sequence: fmt.Sprint(j), Events: []event.Event{anEvent(p, 1000*i+j, base)}}}); j == 0 && n != 1 {
					t.Fatalf("%v: the first segment has the number %d", p, n)
				}
			}
		}
		for i, p := range all {
			endIs(t, h, p, uint64(i%3+1))
			for _, s := range readAll(t, h, p, 0) {
				if e := s.Events[0]; e.Tenant != p.Tenant || e.ID[:len(e.ID)-3] != idOf(1000 * i)[:len(e.ID)-3] {
					t.Errorf("%v has the event %s of tenant %q", p, e.ID, e.Tenant)
				}
			}
		}
	},
	"an append of nothing adds nothing": func(t *testing.T, h Harness, _ *Clock) {
		for i := range uint64(2) {
			for _, records := range [][]eventlog.Record{nil, {{}}, {{}, {}}} {
				if n := addRecords(t, h, part, "", records); n != i {
					t.Errorf("got %d, want the end, %d", n, i)
				}
			}
			endIs(t, h, part, i)
			add(t, h, part, events(0, 1))
		}
	},
	"an appended segment does not change": func(t *testing.T, h Harness, _ *Clock) {
		given := events(0, 3)
		add(t, h, part, given)
		want := readAfter(t, h, part, 0, 1<<20)
		clear(given) // the slice is the caller's; the bodies are immutable
		add(t, h, part, events(3, 3))
		equal(t, "the first segment", readAfter(t, h, part, 0, 1), want)
		readAfter(t, h, part, 0, 1)[0] = eventlog.Segment{}
		equal(t, "the first segment", readAfter(t, h, part, 0, 1), want)
	},
	"an ended context is an error that says so": func(t *testing.T, h Harness, _ *Clock) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		calls := map[string]func() error{
			"Append":        func() error { _, err := h.Log.Append(ctx, part, "", eventlog.Unnamed(events(0, 1)...)); return err },
			"Read":          func() error { _, err := h.Log.Read(ctx, part, 0, 1); return err },
			"End":           func() error { _, err := h.Log.End(ctx, part); return err },
			"After":         func() error { _, err := h.Log.After(ctx, part, 0); return err },
			"Seek":          func() error { _, err := h.Log.Seek(ctx, part, base); return err },
			"OffsetForTime": func() error { _, _, err := h.Log.OffsetForTime(ctx, part, base.Add(-time.Hour)); return err },
		}
		for what, call := range calls {
			if err := call(); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got %v, want an error that is context.Canceled", what, err)
			}
		}
		endIs(t, h, part, 0)
	},
}

func atOnce(n int, run func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { run(i) })
	}
	wg.Wait()
}
