package dynamo

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/problem"
)

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// The hot path: one put for a batch, and what follows reads it from memory.
func TestRequestsOfTheHotPath(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.process()
	r.append(l, "stream", record(1, 100))
	equal(t, "the first append ever", r.dynamo.take(), []string{"GetItem", "PutItem", "PutItem", "Query", "Query"})
	for i := range 5 {
		n := r.append(l, "stream", record(2*i+2, 100), record(2*i+3, 100))
		equal(t, "an append", r.dynamo.take(), []string{"PutItem"})
		got := r.read(l, n-1, 1<<20)
		equal(t, "the read after it", r.dynamo.take(), []string(nil))
		if len(got) != 1 || got[0].Number != n || len(got[0].Events) != 2 {
			t.Errorf("read %v, want segment %d", got, n)
		}
	}
	r.append(r.process(), "stream", record(20, 100))
	equal(t, "the first append of a process", r.dynamo.take(), []string{"PutItem", "Query"})
	equal(t, "to the bucket", r.s3.take(), []string(nil))
}

// Where processes take turns, a put that would fail is not tried twice.
func TestRequestsOfProcessesThatTakeTurns(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	one, other := r.process(), r.process()
	next := 1
	step := func(l *Log, want ...string) {
		t.Helper()
		r.append(l, "stream", record(next, 10))
		next++
		equal(t, "requests of an append", r.dynamo.take(), want)
	}
	step(one, "GetItem", "PutItem", "PutItem", "Query", "Query")
	step(other, "PutItem", "Query")
	for _, l := range []*Log{one, other} {
		step(l, "PutItem", "PutItem", "Query") // the first put fails, once
	}
	step(one, "PutItem", "Query")
	for range 3 {
		step(other, "PutItem", "Query")
		step(one, "PutItem", "Query")
	}
	step(one, "PutItem", "Query") // no other process has appended since
	step(one, "PutItem")
}

func TestNothingIsWrittenOfWhatIsThere(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.process()
	r.append(l, "stream", record(1, 10), record(2, 10))
	for _, process := range []*Log{l, r.process()} {
		r.dynamo.take()
		if n := r.append(process, "stream", record(1, 10), record(2, 10)); n != 1 {
			t.Errorf("got %d, want 1", n)
		}
		equal(t, "requests", r.dynamo.take(), []string{"Query"})
	}
}

// An append that finds everything there returns the last segment, also if
// another process appended it.
func TestAppendOfNothingReturnsTheLastSegment(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	stale := r.process()
	r.append(stale, "stream", record(1, 10))
	other := r.process()
	r.append(other, "stream", record(2, 10))
	r.append(other, "stream", record(3, 10))
	if n := r.append(stale, "stream", record(1, 10)); n != 3 {
		t.Errorf("got %d, want 3", n)
	}
}

// The SDK sends a put again whose response is lost, and finds it done.
func TestALostResponseWithoutASource(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.process()
	r.append(l, "", record(1, 10))
	lost := false
	r.dynamo.fail(func(operation string, done bool) int {
		if operation == "PutItem" && done && !lost {
			lost = true
			return http.StatusInternalServerError
		}
		return 0
	})
	r.dynamo.take()
	if n := r.append(l, "", record(2, 10)); n != 2 || !lost {
		t.Errorf("got %d, want 2", n)
	}
	equal(t, "requests", r.dynamo.take(), []string{"PutItem", "PutItem"})
	equal(t, "ids", r.ids(), wantIDs(1, 2))
}

func TestLostResponses(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]int{"one": 1, "two": 2, "all": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			l := r.process()
			r.append(l, "stream", record(1, 10))
			lost := 0
			r.dynamo.fail(func(operation string, done bool) int {
				if operation == "PutItem" && done && lost < lose {
					lost++
					return http.StatusInternalServerError
				}
				return 0
			})
			n, err := l.Append(t.Context(), part, "stream", []eventlog.Record{record(2, 10)})
			switch {
			case lose < 3 && (n != 2 || err != nil):
				t.Errorf("got %d, %v, want 2", n, err)
			case lose == 3 && problem.CodeOf(err) != problem.Unavailable:
				t.Errorf("got %d, %v, want an error that is unavailable", n, err)
			}
			if n := r.append(l, "stream", record(2, 10), record(3, 10)); n != 3 {
				t.Errorf("the next one: got %d, want 3", n)
			}
			equal(t, "ids", r.ids(), wantIDs(1, 3))
		})
	}
}

// Another's segment under the number that was to be taken is not mistaken for
// one's own, even if it has the same events.
func TestLostRaces(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		source string
		second []eventlog.Record
		want   []string
	}{
		"the same batch":         {"stream", []eventlog.Record{record(2, 10), record(3, 10)}, wantIDs(1, 3)},
		"an overlapping batch":   {"stream", []eventlog.Record{record(3, 10), record(4, 10)}, wantIDs(1, 4)},
		"a later batch":          {"stream", []eventlog.Record{record(4, 10)}, wantIDs(1, 4)},
		"another source":         {"other", []eventlog.Record{record(2, 10)}, append(wantIDs(1, 3), idOf(2))},
		"no source":              {"", []eventlog.Record{record(2, 10), record(3, 10)}, append(wantIDs(1, 3), wantIDs(2, 3)...)},
		"a batch with an object": {"stream", []eventlog.Record{record(3, 10), record(4, 40<<10)}, wantIDs(1, 4)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			loser, winner := r.process(), r.process()
			r.append(loser, "stream", record(1, 10))
			won := r.append(winner, "stream", record(2, 10), record(3, 10))
			r.dynamo.take()
			n := r.append(loser, c.source, c.second...)
			if end, err := winner.End(t.Context(), part); err != nil || end != n {
				t.Errorf("the loser's append returned %d, but the end is %d, %v", n, end, err)
			}
			equal(t, "ids", r.ids(), c.want)
			if got := r.read(loser, won-1, 1); len(got) != 1 || got[0].Number != won || got[0].Events[0].ID != idOf(2) {
				t.Errorf("the loser reads %v as segment %d", got, won)
			}
		})
	}
}

func TestTwoProcessesRacing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const length, processes = 60, 3
	done := make(chan struct{})
	for i := range processes {
		l := r.process()
		go func() {
			defer func() { done <- struct{}{} }()
			for from, n := 1, 2+3*i; from <= length; from += n {
				var batch []eventlog.Record
				for j := max(from-2, 1); j <= min(from+n-1, length); j++ {
					batch = append(batch, record(j, 10))
				}
				end, err := l.Append(t.Context(), part, "stream", batch)
				if err != nil {
					t.Errorf("Append: %v", err)
				}
				if got, err := l.End(t.Context(), part); err != nil || got < end {
					t.Errorf("Append returned %d, then End %d, %v", end, got, err)
				}
			}
		}()
	}
	for range processes {
		<-done
	}
	equal(t, "ids", r.ids(), wantIDs(1, length))
}

// An end that this process saw long ago is not trusted: the number after it may
// have been there, and have expired.
func TestOldEndsAreNotTrusted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.process()
	r.append(l, "stream", record(1, 10))
	other := r.process()
	for i := range 3 {
		r.append(other, "stream", record(2+i, 10))
	}
	if _, err := other.RaiseMarkers(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.set(base.Add(11 * 24 * time.Hour))
	if _, err := other.RaiseMarkers(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.set(base.Add(31 * 24 * time.Hour))
	r.remove(part, 1, 2, 3, 4)
	if n := r.append(l, "stream", record(5, 10)); n != 5 {
		t.Errorf("got segment %d, want 5", n)
	}
}

// Many events are cut into segments between records, and what was appended
// before a failure is not appended again.
func TestLargeAppendsAreCut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.process()
	var batch []eventlog.Record
	for i := range 12 {
		batch = append(batch, record(i+1, 800<<10))
	}
	batch = slices.Insert(batch, 0, eventlog.Record{Sequence: "0"})
	puts := 0
	r.dynamo.fail(func(operation string, done bool) int {
		if operation == "PutItem" && !done {
			if puts++; puts > 2 { // the marker, and the first
				return http.StatusInternalServerError
			}
		}
		return 0
	})
	if n, err := l.Append(t.Context(), part, "stream", batch); problem.CodeOf(err) != problem.Unavailable {
		t.Errorf("got %d, %v, want an error that is unavailable", n, err)
	}
	r.dynamo.fail(nil)
	if n := r.append(l, "stream", batch...); n != 3 {
		t.Errorf("got %d, want 3 segments", n)
	}
	equal(t, "ids", r.ids(), wantIDs(1, 12))
	for _, it := range r.items(part) {
		if it.Bytes > segmentBytes || it.Count > 5 {
			t.Errorf("segment %d has %d events of %d bytes", it.number(), it.Count, it.Bytes)
		}
	}
	if n := r.append(l, "stream", record(13, 5<<20)); n != 4 {
		t.Errorf("a record that is larger than a segment: got %d, want 4", n)
	}
	if got := r.read(l, 3, 1); len(got) != 1 || len(got[0].Events) != 1 || len(got[0].Events[0].Body) < 5<<20 {
		t.Errorf("a record that is larger than a segment is not read as it was")
	}
}

func TestFailuresAreProblems(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusBadRequest, http.StatusInternalServerError} { // throttled, at fault
		r := newRig(t)
		l := r.process()
		r.append(l, "", record(1, 10))
		r.dynamo.fail(func(string, bool) int { return status })
		calls := map[string]func() error{
			"Append":        func() error { _, err := l.Append(t.Context(), part, "", []eventlog.Record{record(2, 10)}); return err },
			"Read":          func() error { _, err := l.Read(t.Context(), part, 1, 1); return err },
			"End":           func() error { _, err := l.End(t.Context(), part); return err },
			"Seek":          func() error { _, err := l.Seek(t.Context(), part, base); return err },
			"OffsetForTime": func() error { _, _, err := l.OffsetForTime(t.Context(), part, base); return err },
			"Oldest":        func() error { _, _, err := l.Oldest(t.Context(), part, 0); return err },
			"After":         func() error { _, err := l.After(t.Context(), part, 0); return err },
			"Passed":        func() error { return l.Passed(t.Context(), part, base) },
			"RaiseMarkers":  func() error { _, err := l.RaiseMarkers(t.Context()); return err },
			"another's put": func() error {
				_, err := r.process().Append(t.Context(), part, "", []eventlog.Record{record(2, 10)})
				return err
			},
		}
		for what, call := range calls {
			r.dynamo.take()
			err := call()
			if problem.CodeOf(err) != problem.Unavailable || strings.Contains(problem.MessageOf(err), "purpose") {
				t.Errorf("%s, status %d: got %v, want an error that is unavailable", what, status, err)
			}
			most := 3
			if what == "RaiseMarkers" {
				most *= markerShards + 1
			}
			if n := len(r.dynamo.take()); n > most {
				t.Errorf("%s, status %d: %d requests; only the SDK should retry", what, status, n)
			}
		}
	}
}

// The segments that this process appended are cached up to a limit.
func TestRecentSegmentsAreBounded(t *testing.T) {
	t.Parallel()
	var tl recentSegments
	for i := range 100 {
		for lane := range 3 {
			p := event.Partition{Tenant: "acme", Lane: lane}
			tl.add(p, eventlog.Segment{Number: uint64(i + 1), Events: []event.Event{eventAt(i, 64<<10, base)}}, base.Unix()+1)
		}
		if tl.bytes > recentBytes || len(tl.segments) != len(tl.order) {
			t.Fatalf("%d bytes, %d segments of %d", tl.bytes, len(tl.segments), len(tl.order))
		}
	}
	p := event.Partition{Tenant: "acme", Lane: 1}
	if got := tl.read(p, 0, 1<<20, base); got != nil {
		t.Errorf("the first segment is still there: %d", len(got))
	}
	if got := tl.read(p, 79, 10<<20, base); len(got) != 21 {
		t.Errorf("%d of the latest 21 are there", len(got))
	}
	if got := tl.read(p, 79, 200<<10, base); len(got) != 4 {
		t.Errorf("%d are read, want 4 for the bytes asked for", len(got))
	}
	if got := tl.read(p, 79, 10<<20, base.Add(time.Second)); got != nil {
		t.Errorf("%d are read that have expired", len(got))
	}
	tl.add(p, eventlog.Segment{Number: 101, Events: []event.Event{eventAt(1, recentBytes, base)}}, base.Unix()+1)
	if tl.bytes != 0 || len(tl.segments) != 0 {
		t.Errorf("%d bytes are left after one that is larger than the bound", tl.bytes)
	}
}

func TestCachedEndsAreBounded(t *testing.T) {
	t.Parallel()
	var h ends
	for i := range maxEnds + 100 {
		h.set(event.Partition{Tenant: "acme", Lane: i}, endState{number: 1}, false, base)
	}
	if len(h.known) > maxEnds {
		t.Errorf("%d ends are kept, want at most %d", len(h.known), maxEnds)
	}
}

// The records of a segment are compared with those of the one before it only as
// what the log already has: a sequence that falls between two segments must not
// pass for a record that is appended.
func TestSequencesMustGrowAcrossSegments(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	n, err := r.process().Append(t.Context(), part, "stream", []eventlog.Record{record(2, segmentBytes), record(1, 10)})
	if problem.CodeOf(err) != problem.Internal {
		t.Errorf("got %d, %v, want an error that is internal", n, err)
	}
	if n := len(r.items(part)); n != 0 {
		t.Errorf("%d segments were appended, want none", n)
	}
}

// A batch of several segments that comes again costs no more than one of one.
func TestRequestsOfALargeBatchThatComesAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	batch := []eventlog.Record{record(1, segmentBytes), record(2, segmentBytes), record(3, segmentBytes)}
	l := r.process()
	r.append(l, "stream", batch...)
	r.dynamo.take()
	for name, l := range map[string]*Log{"to the same process": l, "to another process": r.process()} {
		if n := r.append(l, "stream", batch...); n != 3 {
			t.Errorf("%s: the end is %d, want 3", name, n)
		}
		equal(t, "requests, "+name, r.dynamo.take(), []string{"Query"})
	}
	r.append(l, "stream", record(4, segmentBytes), record(5, segmentBytes))
	equal(t, "requests of two segments more", r.dynamo.take(), []string{"PutItem", "PutItem"})
}
