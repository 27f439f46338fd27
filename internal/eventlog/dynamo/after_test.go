package dynamo

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/eventlog"
)

// However long the log is, two small reads tell what is left of it.
func TestAfterCostsTheSameAnywhere(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := r.process()
	for i := range 30 {
		r.append(l, "stream", record(2*i+1, 10), record(2*i+2, 20))
	}
	for after, most := range map[uint64]int{0: 2, 15: 2, 29: 2, 30: 1, 31: 1} {
		r.dynamo.take()
		got, err := r.process().After(t.Context(), part, after)
		if err != nil || got.Events != max(0, 2*(30-int(after))) {
			t.Errorf("after %d: %+v, %v", after, got, err)
		}
		if calls := r.dynamo.take(); len(calls) > most {
			t.Errorf("after %d: the requests %v, want at most %d", after, calls, most)
		}
	}
}

// The items of an earlier release have no count. What is left is then estimated, also
// while some functions are still of that release.
func TestAfterReadsItemsWithoutACount(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	large(t, r, 1000)
	check := func(what string, after uint64, events int) {
		t.Helper()
		r.dynamo.take()
		got, err := r.process().After(t.Context(), part, after)
		if err != nil || got.Events != events || got.Next != after+1 || got.Bytes < int64(100*events) {
			t.Errorf("%s: after %d: %+v, %v, want %d events", what, after, got, err, events)
		}
		if calls := r.dynamo.take(); len(calls) > 3 {
			t.Errorf("%s: the requests %v", what, calls)
		}
	}
	check("old items", 0, 1000)
	check("old items", 990, 10)
	for i := range 5 {
		r.append(r.process(), "", eventlog.Unnamed(eventAt(i, 100, base.Add(time.Hour)))[0])
	}
	check("old and new items", 0, 1005)
	check("old and new items", 999, 6)
	check("new items", 1001, 4)
	old := r.items(part)[1004]
	old.key, old.Since, old.Events, old.Size = segmentKey(part, 1006), 0, 0, 0
	if won, err := r.process().putItem(t.Context(), &old); !won || err != nil {
		t.Fatal(won, err)
	}
	for i := range 5 {
		r.append(r.process(), "", eventlog.Unnamed(eventAt(10+i, 100, base.Add(2*time.Hour)))[0])
	}
	check("two counts", 1001, 10)
	check("a count and none", 1005, 6)
	check("the second count", 1006, 5)
}
