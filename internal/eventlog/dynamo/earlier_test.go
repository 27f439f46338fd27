package dynamo

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/eventlog"
)

// crossed is a log of four segments of an earlier release and three of this one, of one event
// each, a second apart from base on.
func crossed(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	l := r.earlier()
	for i := 1; i <= 7; i++ {
		if i == 5 {
			l = r.process()
		}
		if n := r.append(l, "stream", r.second(i)); n != uint64(i) {
			t.Fatalf("segment %d got number %d", i, n)
		}
	}
	r.dynamo.take()
	return r
}

// second is a record whose event is so many seconds after base.
func (r *rig) second(i int) eventlog.Record {
	return eventlog.Record{Sequence: fmt.Sprint(i), Events: []event.Event{eventAt(i, 100, base.Add(time.Duration(i)*time.Second))}}
}

// numbersIn returns the numbers of the segments in a table.
func (r *rig) numbersIn(table string) []uint64 {
	r.t.Helper()
	items, _, err := r.process().page(r.t.Context(), table, part, 0, query{limit: 100})
	if err != nil {
		r.t.Fatal(err)
	}
	var numbers []uint64
	for i := range items {
		numbers = append(numbers, items[i].number())
	}
	return numbers
}

func TestSegmentsAreAppendedToTheirOwnTable(t *testing.T) {
	t.Parallel()
	r := crossed(t)
	equal(t, "segments in the main table", r.numbersIn(r.options.Table), []uint64{1, 2, 3, 4})
	equal(t, "segments in their own", r.numbersIn(r.options.Segments), []uint64{5, 6, 7})
	equal(t, "ids", r.ids(), wantIDs(1, 7))
	if items := r.items(part); items[6].counted() != (count{1, 7, items[6].Size}) || items[6].Size < 700 {
		t.Errorf("the last segment counts %+v, want 7 events from segment 1 on", items[6].counted())
	}
}

// The checkpoint of the source goes on too, so what the stream delivers once more is known.
func TestWhatAnEarlierReleaseAppendedIsNotAppendedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.append(r.earlier(), "stream", r.second(1), r.second(2))
	if n := r.append(r.process(), "stream", r.second(1), r.second(2)); n != 1 {
		t.Errorf("all of them again: segment %d, want 1", n)
	}
	if n := r.append(r.process(), "stream", r.second(2), r.second(3)); n != 2 {
		t.Errorf("one of them again: segment %d, want 2", n)
	}
	equal(t, "ids", r.ids(), wantIDs(1, 3))
}

// Two processes that both know the end in the main table do not take the same number.
func TestACachedEndInTheMainTableMayBeStale(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.append(r.earlier(), "stream", r.second(1))
	one, other := r.process(), r.process()
	for _, l := range []*Log{one, other} {
		if n, err := l.End(t.Context(), part); err != nil || n != 1 {
			t.Fatalf("the end is %d, %v, want 1", n, err)
		}
	}
	if n := r.append(one, "stream", r.second(2)); n != 2 {
		t.Errorf("segment %d, want 2", n)
	}
	if n := r.append(other, "stream", r.second(2), r.second(3)); n != 3 {
		t.Errorf("segment %d, want 3", n)
	}
	equal(t, "ids", r.ids(), wantIDs(1, 3))
}

// From wherever it begins and however little it asks for, a reader misses no segment and gets
// none twice.
func TestReadsCrossTheBorder(t *testing.T) {
	t.Parallel()
	r := crossed(t)
	known := r.process()
	for _, maxBytes := range []int{1, 150, 400, 1 << 20} {
		for from := range uint64(8) {
			for name, l := range map[string]*Log{"new": r.process(), "that knows the border": known} {
				var got []uint64
				for after := from; ; after = got[len(got)-1] {
					segments := r.read(l, after, maxBytes)
					if len(segments) == 0 {
						break
					}
					for _, s := range segments {
						got = append(got, s.Number)
					}
				}
				var want []uint64
				for n := from + 1; n <= 7; n++ {
					want = append(want, n)
				}
				equal(t, fmt.Sprintf("a process %s reads from %d on, %d bytes", name, from, maxBytes), got, want)
			}
		}
	}
}

func TestWhatIsLeftIsCountedOverTheBorder(t *testing.T) {
	t.Parallel()
	r := crossed(t)
	for after := range uint64(8) {
		got, err := r.process().After(t.Context(), part, after)
		want := eventlog.Rest{Last: base.Add(7 * time.Second)}
		if after < 7 {
			want.Next, want.Events, want.First = after+1, int(7-after), base.Add(time.Duration(after+1)*time.Second)
			want.Bytes = got.Bytes
		}
		if err != nil || got != want || after < 7 && got.Bytes < 100*int64(7-after) {
			t.Errorf("after %d: %+v, %v, want %+v", after, got, err, want)
		}
		first, found, err := r.process().Oldest(t.Context(), part, after)
		if err != nil || found != (after < 7) || found && !first.Equal(want.First) {
			t.Errorf("the oldest after %d: %v, %v, %v", after, first, found, err)
		}
	}
}

func TestTimesAreFoundOverTheBorder(t *testing.T) {
	t.Parallel()
	r := crossed(t)
	for i := 1; i <= 7; i++ {
		at := base.Add(time.Duration(i) * time.Second)
		if n, err := r.process().Seek(t.Context(), part, at); err != nil || n != uint64(i-1) {
			t.Errorf("Seek of event %d: %d, %v, want %d", i, n, err, i-1)
		}
		r.offsetForTime(1000*i, uint64(i))
	}
}

// A late segment is found on either side of the border, whichever release put its note.
func TestLateSegmentsAreFoundOverTheBorder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.appendAll(r.earlier(), 100, 200, 20, 300)
	r.notedIs(3, 20)
	l := r.process()
	r.appendAll(l, 400)
	r.offsetForTime(20, 3)
	r.offsetForTime(350, 4)
	r.appendAll(l, 250, 500) // late by segments of both tables
	r.notedIs(6, 20)
	r.offsetForTime(20, 6)
	r.offsetForTime(10, 0)
}

// The first segment after the border is late by what the main table has.
func TestTheFirstSegmentAfterTheBorderMayBeLate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.appendAll(r.earlier(), 100, 200)
	r.appendAll(r.process(), 50)
	r.notedIs(3, 50)
	r.offsetForTime(60, 3)
}

// Segments expire in the order of their numbers, in two tables as in one.
func TestSegmentsExpireInOrderOverTheBorder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.set(base.Add(time.Hour)) // a clock that is ahead
	r.append(r.earlier(), "stream", r.second(1))
	r.set(base)
	r.append(r.process(), "stream", r.second(2))
	if items := r.items(part); items[1].Expires < items[0].Expires {
		t.Errorf("the first expires at %d, the second at %d", items[0].Expires, items[1].Expires)
	}
}

// As the segments in the main table expire, and go in any order, nothing is read of them and
// nothing after them is missed.
func TestExpiredSegmentsInTheMainTable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		expired uint64
		gone    []uint64
	}{{2, nil}, {2, []uint64{1}}, {3, []uint64{2}}, {4, nil}, {4, []uint64{2, 3}}, {4, []uint64{4}}, {4, []uint64{1, 2, 3, 4}}, {6, []uint64{1, 3, 6}}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			t.Parallel()
			r := crossed(t)
			r.expire(part, c.expired)
			r.remove(part, c.gone...)
			equal(t, "ids", r.ids(), wantIDs(int(c.expired)+1, 7))
			for after := range uint64(7) {
				l := r.process()
				segments := r.read(l, after, 1)
				if want := max(after, c.expired) + 1; len(segments) != 1 || segments[0].Number != want {
					t.Errorf("after %d: %v, want segment %d", after, segments, want)
				}
				rest, err := l.After(t.Context(), part, after)
				if want := max(after, c.expired) + 1; err != nil || rest.Next != want || rest.Events != int(8-want) {
					t.Errorf("after %d: %+v, %v, want %d", after, rest, err, want)
				}
			}
			if n, err := r.process().Seek(t.Context(), part, base); err != nil || n != c.expired {
				t.Errorf("Seek: %d, %v, want %d", n, err, c.expired)
			}
			if n := r.append(r.process(), "stream", r.second(8)); n != 8 {
				t.Errorf("segment %d, want 8", n)
			}
		})
	}
}

// A partition that was idle since long before the upgrade goes on where its marker is.
func TestNumbersOutliveTheSegmentsInTheMainTable(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string][]uint64{"expired": nil, "one left": {1}, "gone": {1, 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.append(r.earlier(), "stream", r.second(1))
			r.append(r.earlier(), "stream", r.second(2))
			if err := r.process().raise(t.Context(), part); err != nil {
				t.Fatal(err)
			}
			r.expire(part, 2)
			r.remove(part, gone...)
			l := r.process()
			if len(r.read(l, 0, 1<<20)) > 0 {
				t.Error("what has expired is read")
			}
			if n, err := l.End(t.Context(), part); err != nil || n != 2 {
				t.Errorf("the end is %d, %v, want 2", n, err)
			}
			if n := r.append(l, "stream", r.second(3)); n != 3 {
				t.Errorf("segment %d, want 3", n)
			}
			equal(t, "ids", r.ids(), wantIDs(3, 3))
		})
	}
}

// DynamoDB's clock may be ahead of this one, and has removed what has not expired here.
func TestSegmentsInTheMainTableAreRemovedBeforeTheyExpire(t *testing.T) {
	t.Parallel()
	r := crossed(t)
	l := r.process()
	if len(r.read(l, 3, 1)) != 1 { // it knows the border now
		t.Fatal("segment 4 is not read")
	}
	r.remove(part, 1, 2, 3, 4)
	if got := r.read(l, 0, 1<<20); len(got) != 3 || got[0].Number != 5 {
		t.Errorf("read %v, want segments 5 to 7", got)
	}
	if rest, err := l.After(t.Context(), part, 0); err != nil || rest.Next != 5 {
		t.Errorf("what is left: %+v, %v, want it from 5 on", rest, err)
	}
}

// A process looks once into the main table for each partition. From then on its requests are
// those of a log that has always been in one table.
func TestTheMainTableIsAskedOnce(t *testing.T) {
	t.Parallel()
	r := crossed(t)
	requests := func(what string, want []string, call func() error) {
		t.Helper()
		if err := call(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		equal(t, what, r.dynamo.take(), want)
	}
	reads := func(l *Log, after uint64) func() error {
		return func() error { _, err := l.Read(t.Context(), part, after, 1); return err }
	}
	one, two := []string{"Query"}, []string{"Query", "Query"}
	l := r.process()
	requests("a read behind the border", one, reads(l, 4))
	requests("the first read at the end", two, reads(l, 7))
	requests("the next", one, reads(l, 7))
	requests("a read before the border", one, reads(l, 2))
	l = r.process()
	requests("the first read before the border", []string{"Query", "Query", "Query"}, reads(l, 2))
	requests("the next", one, reads(l, 2))
	r.expire(part, 4)
	l = r.process()
	r.dynamo.take()
	requests("the first read at the end when all have expired", two, reads(l, 7))
	requests("the next", one, reads(l, 7))
	r.remove(part, 1, 2, 3, 4)
	r.dynamo.take()
	requests("a search when all have gone", []string{"GetItem", "GetItem", "GetItem", "Query"}, func() error { _, err := l.Seek(t.Context(), part, base); return err })

	fresh := event.Partition{Tenant: "acme", Lane: 5}
	l = r.process()
	ends := func() error { _, err := l.End(t.Context(), fresh); return err }
	requests("the end of a partition without segments", []string{"GetItem", "Query", "Query"}, ends)
	requests("the next", []string{"GetItem", "Query"}, ends)
	requests("what follows is read at its end", one, func() error { _, err := l.Read(t.Context(), fresh, 0, 1); return err })
}

// A border that has expired is not asked for again: of what is left there nothing counts.
func TestAnExpiredBorderIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.append(r.earlier(), "stream", r.second(1))
	l := r.process()
	if len(r.read(l, 0, 1)) != 1 {
		t.Fatal("segment 1 is not read")
	}
	if err := l.raise(t.Context(), part); err != nil {
		t.Fatal(err)
	}
	r.set(base.Add(r.options.Keep + time.Minute))
	r.dynamo.take()
	if n, err := l.End(t.Context(), part); err != nil || n != 1 {
		t.Errorf("the end is %d, %v, want 1", n, err)
	}
	equal(t, "requests of an end", r.dynamo.take(), []string{"GetItem", "Query"})
	if len(r.read(l, 0, 1)) > 0 {
		t.Error("what has expired is read")
	}
	equal(t, "requests of a read", r.dynamo.take(), []string{"Query"})
}
