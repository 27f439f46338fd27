package dynamo

import (
	"context"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/problem"
)

func eventsOf(tenant string, size int) []eventlog.Record {
	return eventlog.Unnamed(event.Draft{ID: idOf(1), Name: "a.b", Payload: append(append([]byte{'"'}, noise(7, size)...), '"')}.Stamp(tenant, base))
}

func eventRecords(sequence, size int) []eventlog.Record {
	return []eventlog.Record{record(sequence, size)}
}

// In a log that is out of order by up to the margin, except for late records, Seek and
// OffsetForTime err on the safe side, and Seek by no more than the margin explains.
func TestTimesOutOfOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.options.Margin = 20 * time.Millisecond
	lane := 0
	rapid.Check(t, func(rt *rapid.T) {
		lane++
		p := event.Partition{Tenant: "acme", Lane: lane}
		var segments [][]int
		var items []item
		latest := 0
		var h endState
		for i := range rapid.IntRange(1, 25).Draw(rt, "segments") {
			var ms []int
			furthest := rapid.SampledFrom([]int{20, 20, 20, 20, 20, 20, 20, 200}).Draw(rt, "furthest back")
			for range rapid.IntRange(1, 3).Draw(rt, "events") {
				at := max(0, latest-rapid.IntRange(-15, furthest).Draw(rt, "back"))
				latest = max(latest, at)
				ms = append(ms, at)
			}
			segments = append(segments, ms)
			it := item{key: segmentKey(p, uint64(i+1)), Expires: base.Unix() + 100, Data: []byte{1}, First: 1 << 60}
			for _, at := range ms {
				it.First = min(it.First, base.UnixMilli()+int64(at))
				it.Last = max(it.Last, base.UnixMilli()+int64(at))
			}
			if r.process().isLate(h, &it) {
				if err := r.process().noteLate(rt.Context(), p, &it); err != nil {
					rt.Fatal(err)
				}
			}
			it.Last = max(it.Last, h.last)
			h.last = it.Last
			items = append(items, it)
		}
		r.batchPut(items)
		at := rapid.IntRange(-5, latest+25).Draw(rt, "t")
		checkTimes(rt, r, p, segments, at)
	})
}

func checkTimes(t *rapid.T, r *rig, p event.Partition, segments [][]int, at int) {
	margin := int(r.options.Margin / time.Millisecond)
	when := base.Add(time.Duration(at) * time.Millisecond)
	l := r.process()
	seek, err := l.Seek(t.Context(), p, when)
	if err != nil {
		t.Fatal(err)
	}
	offset, final, err := l.OffsetForTime(t.Context(), p, when)
	if err != nil {
		t.Fatal(err)
	}
	latest := 0
	for i, ms := range segments {
		n := uint64(i + 1)
		for _, x := range ms {
			latest = max(latest, x)
			if x >= at && n <= seek {
				t.Fatalf("Seek %d: %d, but segment %d has an event at %d", at, seek, n, x)
			}
			if x <= at && n > offset {
				t.Fatalf("OffsetForTime %d: %d, but segment %d has an event at %d", at, offset, n, x)
			}
		}
	}
	if final && latest <= at+margin {
		t.Fatalf("OffsetForTime %d is final, but the latest event is at %d: one at %d may follow", at, latest, latest-margin)
	}
	for i := int(seek); i < len(segments) && latestOf(segments[i]) < at-2*margin; i++ {
		t.Fatalf("Seek %d: %d, but segment %d ends at %d", at, seek, i+1, latestOf(segments[i]))
	}
}

func latestOf(ms []int) int {
	latest := ms[0]
	for _, x := range ms {
		latest = max(latest, x)
	}
	return latest
}

// watermarks is a stream that records the markers put on it.
type watermarks struct {
	put []event.Partition
	err error
}

func (b *watermarks) putMarker(_ context.Context, p event.Partition) error {
	b.put = append(b.put, p)
	return b.err
}

func TestOffsetForTimePutsAMarker(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.options.Margin = 15 * time.Minute
	var stream watermarks
	r.options.PutMarker = stream.putMarker
	l := r.process()
	r.append(l, "stream", record(1, 10))
	end := base.Add(time.Hour)
	offset := func(want uint64, wantFinal bool, wantPut int) {
		t.Helper()
		n, final, err := l.OffsetForTime(t.Context(), part, end)
		if err != nil || n != want || final != wantFinal || len(stream.put) != wantPut {
			t.Errorf("got %d, final %v, %v with %d markers put; want %d, final %v, %d markers",
				n, final, err, len(stream.put), want, wantFinal, wantPut)
		}
	}
	offset(1, false, 0)
	r.set(end.Add(15 * time.Minute))
	offset(1, false, 0) // a marker put now might not be after the margin
	r.set(end.Add(15*time.Minute + time.Millisecond))
	asked := r.Now()
	offset(1, false, 1)
	r.set(asked.Add(59 * time.Second))
	offset(1, false, 1)
	r.set(asked.Add(time.Minute))
	offset(1, false, 2)
	passed := func(at time.Time) {
		t.Helper()
		if err := l.Passed(t.Context(), part, at); err != nil {
			t.Fatal(err)
		}
	}
	passed(end.Add(15*time.Minute - time.Millisecond))
	offset(1, false, 2) // put before the margin was over
	passed(asked)
	offset(1, true, 2)
	passed(base) // a late and earlier one changes nothing
	offset(1, true, 2)
	if n, final, err := l.OffsetForTime(t.Context(), event.Partition{Tenant: "acme", Lane: 1}, end); final || err != nil || n != 0 {
		t.Errorf("a partition without a marker: %d, final %v, %v", n, final, err)
	}
	equal(t, "markers", stream.put, []event.Partition{part, part, {Tenant: "acme", Lane: 1}})
}

// An offset is final once the log has an event that is later by more than the margin.
func TestALaterEventMakesFinal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var stream watermarks
	r.options.PutMarker = stream.putMarker
	l := r.process()
	r.append(l, "stream", record(1, 10))
	r.append(l, "stream", record(11, 10))
	r.set(base.Add(time.Hour))
	for ms, want := range map[int]bool{0: true, 1: false, 2: false, 11: false} {
		n, final, err := r.process().OffsetForTime(t.Context(), part, base.Add(time.Duration(ms)*time.Millisecond))
		if err != nil || final != want || ms == 0 && n > 1 {
			t.Errorf("OffsetForTime %d ms: %d, final %v, %v, want final %v", ms, n, final, err, want)
		}
	}
	if len(stream.put) != 3 {
		t.Errorf("%d markers were put, want 3", len(stream.put))
	}
}

// OffsetForTime counts what is appended between its first read of the log and the
// arrival of the marker.
func TestOffsetForTimeCountsWhatIsBeforeTheMarker(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.options.PutMarker = (&watermarks{}).putMarker
	other := r.process()
	r.append(other, "stream", record(1, 10))
	r.set(base.Add(time.Hour))
	l := r.process()
	once := false
	r.dynamo.fail(func(operation string, done bool) int {
		if operation == "GetItem" && !done && !once { // about to check whether a marker has arrived
			once = true
			r.append(other, "stream", record(2, 10))
			if err := other.Passed(t.Context(), part, base.Add(59*time.Minute)); err != nil {
				t.Error(err)
			}
		}
		return 0
	})
	n, final, err := l.OffsetForTime(t.Context(), part, base.Add(5*time.Millisecond))
	if err != nil || !final || n != 2 {
		t.Errorf("got %d, final %v, %v; want 2, final", n, final, err)
	}
}

func TestMarkerThatCannotBePut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stream := watermarks{err: errors.New("no stream")}
	r.options.PutMarker = stream.putMarker
	r.set(base.Add(time.Hour))
	l := r.process()
	if _, final, err := l.OffsetForTime(t.Context(), part, base); final || problem.CodeOf(err) != problem.Unavailable {
		t.Errorf("got final %v, %v, want an error that is unavailable", final, err)
	}
}
