package logtest

import (
	"fmt"
	"testing"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// sources: a stream redelivers records in different batches, and each is in the log
// once.
var sources = map[string]test{
	"a batch repeated": func(t *testing.T, h Harness, _ *Clock) {
		batch := stream(1, 4)
		first := addRecords(t, h, part, "stream", batch)
		for range 2 {
			if n := addRecords(t, h, part, "stream", batch); n != first {
				t.Errorf("the batch that was appended as %d is now %d", first, n)
			}
		}
		inLog(t, h, 1, 4)
	},
	"a batch in halves": func(t *testing.T, h Harness, _ *Clock) {
		addRecords(t, h, part, "stream", stream(1, 4)) // the response is lost
		for _, half := range [][]eventlog.Record{stream(1, 2), stream(3, 4), stream(1, 1), stream(2, 2)} {
			if n := addRecords(t, h, part, "stream", half); n != 1 {
				t.Errorf("a half: got %d, want the end, 1", n)
			}
		}
		addRecords(t, h, part, "stream", stream(5, 5))
		inLog(t, h, 1, 5)
	},
	"halves as a batch": func(t *testing.T, h Harness, _ *Clock) {
		addRecords(t, h, part, "stream", stream(1, 2))
		addRecords(t, h, part, "stream", stream(3, 4))
		if n := addRecords(t, h, part, "stream", stream(1, 4)); n != 2 {
			t.Errorf("got %d, want the end, 2", n)
		}
		inLog(t, h, 1, 4)
	},
	"overlapping batches": func(t *testing.T, h Harness, _ *Clock) {
		for i, batch := range [][]eventlog.Record{stream(1, 3), stream(2, 5), stream(5, 5), stream(4, 9), stream(8, 9), stream(9, 10)} {
			if n, want := addRecords(t, h, part, "stream", batch), []uint64{1, 2, 2, 3, 3, 4}[i]; n != want {
				t.Errorf("batch %d: got %d, want %d", i, n, want)
			}
		}
		inLog(t, h, 1, 10)
	},
	"after a gap, as records of other partitions make it": func(t *testing.T, h Harness, _ *Clock) {
		addRecords(t, h, part, "stream", append(stream(1, 2), stream(7, 8)...))
		addRecords(t, h, part, "stream", append(stream(7, 8), stream(20, 20)...))
		want := append(append(stream(1, 2), stream(7, 8)...), stream(20, 20)...)
		equal(t, "ids", idsOf(readAll(t, h, part, 0)), recordIDs(want))
	},
	"numbers are compared as numbers": func(t *testing.T, h Harness, _ *Clock) {
		const long = "49590338271490256608559692538361571095921575989136588898"
		var records []eventlog.Record
		for i, s := range []string{"0", "9", "10", "099", "101", "18446744073709551615", "18446744073709551616", "18446744073709551617", long, "1" + long} {
			records = append(records, eventlog.Record{Sequence: s, Events: []event.Event{anEvent(part, i, base)}})
		}
		for i := range records {
			for j := range i + 1 { // every one again, from the last one back
				if n := addRecords(t, h, part, "stream", records[i-j:i+1]); n != uint64(i+1) {
					t.Fatalf("%s with %d before it: got %d, want %d", records[i].Sequence, j, n, i+1)
				}
			}
		}
		equal(t, "ids", idsOf(readAll(t, h, part, 0)), recordIDs(records))
	},
	"records without events": func(t *testing.T, h Harness, _ *Clock) {
		batch := stream(1, 3)
		batch[0].Events, batch[2].Events = nil, nil
		addRecords(t, h, part, "stream", batch[:1])
		endIs(t, h, part, 0)
		addRecords(t, h, part, "stream", batch)
		addRecords(t, h, part, "stream", batch)
		inLog(t, h, 2, 2)
	},
	"another source has its own numbers": func(t *testing.T, h Harness, _ *Clock) {
		addRecords(t, h, part, "stream-1", stream(5, 8))
		for range 2 {
			addRecords(t, h, part, "stream", stream(1, 3))
			addRecords(t, h, part, "stream", stream(1, 4))
		}
		want := append(stream(5, 8), stream(1, 4)...)
		equal(t, "ids", idsOf(readAll(t, h, part, 0)), recordIDs(want))
	},
	"another partition has its own numbers": func(t *testing.T, h Harness, _ *Clock) {
		addRecords(t, h, part, "stream", stream(5, 8))
		sibling := event.Partition{Tenant: part.Tenant, Lane: 1}
		if n := addRecords(t, h, sibling, "stream", stream(1, 2)); n != 1 {
			t.Errorf("got segment %d, want 1", n)
		}
		equal(t, "ids", idsOf(readAll(t, h, sibling, 0)), recordIDs(stream(1, 2)))
	},
	"without a source nothing is skipped": func(t *testing.T, h Harness, _ *Clock) {
		for i := range uint64(3) {
			if n := addRecords(t, h, part, "", stream(1, 2)); n != i+1 {
				t.Errorf("append %d: got segment %d", i+1, n)
			}
		}
	},
	"an append without a source between": func(t *testing.T, h Harness, _ *Clock) {
		addRecords(t, h, part, "stream", stream(1, 3))
		add(t, h, part, events(100, 1))
		addRecords(t, h, part, "stream", stream(2, 4))
		want := append(stream(1, 3), stream(100, 100)[0], stream(4, 4)[0])
		equal(t, "ids", idsOf(readAll(t, h, part, 0)), recordIDs(want))
	},
	"invalid sequences are rejected": func(t *testing.T, h Harness, _ *Clock) {
		for _, list := range [][]string{{""}, {"x"}, {"1a"}, {"-1"}, {"1", "2."}, {"2", "1"}, {"1", "1"}, {"1", "01"}} {
			var records []eventlog.Record
			for i, s := range list {
				records = append(records, eventlog.Record{Sequence: s, Events: events(i, 1)})
			}
			if n, err := h.Log.Append(t.Context(), part, "stream", records); err == nil {
				t.Errorf("%q: got segment %d, want an error", list, n)
			}
		}
		endIs(t, h, part, 0)
	},
	"concurrent appends of the same records": func(t *testing.T, h Harness, _ *Clock) {
		const length, readers = 24, 6
		atOnce(readers, func(i int) {
			for from, n := 1, i+1; from <= length; from += n { // each in different batches
				if _, err := h.Log.Append(t.Context(), part, "stream", stream(from, min(from+n-1, length))); err != nil {
					t.Errorf("Append: %v", err)
				}
			}
		})
		inLog(t, h, 1, length)
	},
}

// stream returns the records of a stream with the given numbers, one event each.
func stream(from, to int) []eventlog.Record {
	var list []eventlog.Record
	for i := from; i <= to; i++ {
		list = append(list, eventlog.Record{Sequence: fmt.Sprint(i), Events: []event.Event{anEvent(part, i, base)}})
	}
	return list
}

// inLog checks that the log has exactly the records with these numbers, once and in
// order.
func inLog(t *testing.T, h Harness, from, to int) {
	t.Helper()
	equal(t, "ids in the log", idsOf(readAll(t, h, part, 0)), recordIDs(stream(from, to)))
}

func idsOf(segments []eventlog.Segment) []string {
	var ids []string
	for i := range segments {
		for _, e := range segments[i].Events {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

func recordIDs(records []eventlog.Record) []string {
	var ids []string
	for _, r := range records {
		for _, e := range r.Events {
			ids = append(ids, e.ID)
		}
	}
	return ids
}
