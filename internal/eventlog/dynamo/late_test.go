package dynamo

import (
	"net/http"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
	"github.com/sluicehq/sluice/internal/problem"
)

// appendAt appends a segment with an event at so many milliseconds after base.
func (r *rig) appendAt(l *Log, ms int) (uint64, error) {
	return l.Append(r.t.Context(), part, "", eventlog.Unnamed(eventAt(ms, 10, base.Add(time.Duration(ms)*time.Millisecond))))
}

// appendAll appends a segment for each time.
func (r *rig) appendAll(l *Log, all ...int) {
	r.t.Helper()
	for _, ms := range all {
		if _, err := r.appendAt(l, ms); err != nil {
			r.t.Fatalf("Append: %v", err)
		}
	}
}

func (r *rig) offsetForTime(ms int, want uint64) {
	r.t.Helper()
	n, _, err := r.process().OffsetForTime(r.t.Context(), part, base.Add(time.Duration(ms)*time.Millisecond))
	if err != nil || n != want {
		r.t.Errorf("OffsetForTime %d ms: got %d, %v, want %d", ms, n, err, want)
	}
}

// noted returns the note of the partition, with its time in milliseconds after base.
func (r *rig) noted() lateNote {
	r.t.Helper()
	var n lateNote
	found, err := r.process().get(r.t.Context(), r.options.Table, newKey(part, skLate), &n)
	if err != nil {
		r.t.Fatal(err)
	}
	if found {
		n.First -= base.UnixMilli()
	}
	return n
}

func (r *rig) notedIs(number uint64, first int64) {
	r.t.Helper()
	if n := r.noted(); n.Number != number || n.First != first {
		r.t.Errorf("the note is %+v, want number %d, first %d", n, number, first)
	}
}

func TestLateRecordsAreFound(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.process()
	r.appendAll(l, 0, 100, 90, 200)
	if n := r.noted(); n.Number != 0 {
		t.Errorf("the note is %+v, but all is within the margin", n)
	}
	r.dynamo.take()
	r.appendAll(l, 50)
	equal(t, "requests of a late append", r.dynamo.take(), []string{"PutItem", "PutItem"})
	r.appendAll(l, 300, 400)
	equal(t, "requests of two others", r.dynamo.take(), []string{"PutItem", "PutItem"})
	r.notedIs(5, 50)
	r.offsetForTime(49, 1)
	r.offsetForTime(50, 5)
	r.offsetForTime(300, 6)
	if last := r.items(part)[4].Last; last != base.Add(200*time.Millisecond).UnixMilli() {
		t.Errorf("the last time decreased to %d", last)
	}
	for _, c := range []struct{ back, number, first int }{{150, 8, 50}, {20, 9, 20}} {
		r.appendAll(l, c.back)
		r.notedIs(uint64(c.number), int64(c.first))
	}
	r.appendAll(l, 500)
	r.offsetForTime(19, 1)
	r.offsetForTime(20, 9)
}

// The note is stored before the segment, whatever fails.
func TestNoteBeforeSegment(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fails  int // from which put on
		noted  uint64
		answer bool // the put succeeds and its response is lost
	}{
		"no put":                         {fails: 1},
		"the note's response is lost":    {fails: 1, noted: 4, answer: true},
		"the segment's put":              {fails: 2, noted: 4},
		"the segment's response is lost": {fails: 2, noted: 4, answer: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			l := r.process()
			r.appendAll(l, 0, 100, 200)
			puts := 0
			r.dynamo.fail(func(operation string, done bool) int {
				if operation == "PutItem" && !done {
					puts++
				}
				if operation == "PutItem" && done == c.answer && puts >= c.fails {
					return http.StatusInternalServerError
				}
				return 0
			})
			if n, err := r.appendAt(l, 50); problem.CodeOf(err) != problem.Unavailable {
				t.Fatalf("got %d, %v, want an error that is unavailable", n, err)
			}
			r.dynamo.fail(nil)
			end := uint64(3)
			if c.fails == 2 && c.answer {
				end = 4
			}
			if n := r.noted(); n.Number != c.noted {
				t.Errorf("the note is %+v, want number %d", n, c.noted)
			}
			if n := uint64(len(r.items(part))); n != end {
				t.Errorf("%d segments, want %d", n, end)
			}
			r.offsetForTime(50, max(1, min(c.noted, end))) // never above the end
		})
	}
}

// A process that loses the race for a number notes the number that it then gets,
// relative to the segment that won.
func TestLateAfterALostRace(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]int{"late before": 50, "only after the winner": 195} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			loser, winner := r.process(), r.process()
			r.appendAll(loser, 0, 100, 200)
			r.appendAll(winner, 300)
			r.appendAll(loser, back)
			r.appendAll(winner, 400, 500, 600)
			r.notedIs(5, int64(back))
			r.offsetForTime(back, 5)
		})
	}
}

// Concurrent notes are merged.
func TestNotesAreMerged(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const processes = 6
	done := make(chan error, processes)
	for i := range processes {
		go func() {
			it := item{key: segmentKey(part, uint64(10+i)), First: base.UnixMilli() + int64(20+i), Expires: base.Unix() + int64(100-i)}
			done <- r.process().noteLate(t.Context(), part, &it)
		}()
	}
	for range processes {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	r.notedIs(10+processes-1, 20)
	if n := r.noted(); n.Expires != base.Unix()+100 {
		t.Errorf("the note expires at %d, before its last segment", n.Expires)
	}
}

func TestNotesExpire(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.process()
	r.appendAll(l, 0, 100, 200, 50)
	if n, items := r.noted(), r.items(part); n.Expires != items[3].Expires {
		t.Errorf("the note expires at %d, its segment at %d", n.Expires, items[3].Expires)
	}
	r.set(base.Add(time.Hour))
	r.appendAll(l, 60)
	r.notedIs(5, 50)
	if n := r.noted(); n.Expires != r.Now().Add(r.options.Keep).Unix()+1 {
		t.Errorf("the note expires at %d, before its last segment", n.Expires)
	}
	r.expire(part, 5)
	r.set(base.Add(time.Hour + r.options.Keep + time.Second)) // the note, too, and is still there
	r.appendAll(l, 1000, 2000, 3000)
	r.offsetForTime(60, 5)
	r.appendAll(l, 1500) // replaces the expired note
	r.notedIs(9, 1500)
}

// OffsetForTime reads the note after the end by which the offset is final, which is the
// second that it reads.
func TestOffsetForTimeReadsTheNoteLast(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	other := r.process()
	r.appendAll(other, 0, 100, 200)
	r.set(base.Add(time.Hour))
	reads := 0
	r.dynamo.fail(func(operation string, done bool) int {
		if operation == "Query" && !done {
			if reads++; reads == 2 {
				r.appendAll(other, 400, 50, 500, 600)
			}
		}
		return 0
	})
	n, final, err := r.process().OffsetForTime(t.Context(), part, base.Add(350*time.Millisecond))
	if err != nil || !final || n != 5 {
		t.Errorf("got %d, final %v, %v; want 5, final", n, final, err)
	}
}

// A note is not a segment, and belongs to one partition.
func TestNotesAreSeparate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.process()
	sibling := event.Partition{Tenant: part.Tenant, Lane: 1}
	r.appendAll(l, 0, 100, 200, 50)
	for ms := range 3 {
		if _, err := l.Append(t.Context(), sibling, "", eventlog.Unnamed(eventAt(ms, 10, base.Add(time.Duration(ms)*time.Second)))); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, "segments", len(r.items(part)), 4)
	if n, _, err := l.OffsetForTime(t.Context(), sibling, base.Add(50*time.Millisecond)); err != nil || n != 1 {
		t.Errorf("OffsetForTime in the other lane: %d, %v, want 1", n, err)
	}
}
