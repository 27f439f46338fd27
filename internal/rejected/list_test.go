package rejected

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/worker"
)

// list returns the ids in the list, oldest first, and checks that they are counted and there.
func list(t *testing.T, s store.Store, target *worker.Target) (ids []string) {
	t.Helper()
	h := store.HistoryOf(target.Integration)
	refs, err := s.OldestRejected(t.Context(), h, 20_000)
	if err != nil {
		t.Fatal(err)
	}
	if count, err := s.RejectedCount(t.Context(), h); err != nil || count.Kept != len(refs) {
		t.Errorf("%d events are listed, and counted are %+v, %v", len(refs), count, err)
	}
	for _, ref := range refs {
		ids = append(ids, ref.EventID)
		if _, err := s.Rejected(t.Context(), h, ref.EventID); err != nil {
			t.Error(err)
		}
	}
	return ids
}

// After a crash an event may be rejected again that is in the list: it is neither listed
// nor counted twice, though it is the oldest of a full list, and what comes with it is kept.
func TestARepeatedRejectionIsListedOnce(t *testing.T) {
	for again := range 3 {
		synctest.Test(t, func(t *testing.T) {
			s, g, target := setup(3)
			for i := range 3 {
				ok(t, add(t.Context(), s, target, i, 1, 10))
			}
			ok(t, add(t.Context(), s, target, again, 1, 10))
			want := []string{rejectedEvent(0, 0).ID, rejectedEvent(1, 0).ID, rejectedEvent(2, 0).ID}
			if got := list(t, g, target); !slices.Equal(got, want) {
				t.Errorf("%d again: the list is %v", again, got)
			}
			first := add(t.Context(), s, target, 10, 1, 10)
			repeated := append(add(t.Context(), s, target, 2, 1, 10), add(t.Context(), s, target, 11, 1, 10)...) // in one commit
			ok(t, append(first, repeated...))
			if got, want := list(t, g, target), []string{rejectedEvent(2, 0).ID, rejectedEvent(10, 0).ID, rejectedEvent(11, 0).ID}; !slices.Equal(got, want) {
				t.Errorf("%d again, with others: the list is %v", again, got)
			}
		})
	}
}

// The list is in the order of the rejections though the clock stands still, or is set back.
func TestTheListIsInOrderWhateverTheClockSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g, target := setup(3)
		at := time.Now()
		s.Now = func() time.Time { return at }
		var want []string
		for i := range 6 {
			id := 10 - i // the ids are in the other order
			ok(t, add(t.Context(), s, target, id, 1, 10))
			want = append(want, rejectedEvent(id, 0).ID)
			if i%2 == 1 {
				at = at.Add(-time.Hour)
			}
		}
		if got := list(t, g, target); !slices.Equal(got, want[3:]) {
			t.Errorf("the list is %v, want %v", got, want[3:])
		}
	})
}

// A full list of the largest size is deleted in the time of a call, and what is left is told.
func TestADeletionOfAllTakesABoundedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g, target := setup(10_000)
		s.Integrations = only{target.Integration}
		h := store.HistoryOf(target.Integration)
		const n = 1500
		count := &integration.RejectedCount{}
		for i := range n {
			r := &integration.Rejected{Event: *rejectedEvent(i, 0), CreatedAt: count.Add(s.Now())}
			if err := g.Store.Commit(t.Context(), store.PutRejectedCount{History: h, Count: count}, store.PutRejected{History: h, Rejected: r}); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		b, err := s.DeleteAll(t.Context(), "a", "hook", nil) // a commit takes a second
		if took := time.Since(began); err != nil || took > 21*time.Second || len(b.Done)+b.Remaining != n || len(b.Done) < 20*deletesAtOnce {
			t.Errorf("after %v deleted %d, remaining %d, %v", took, len(b.Done), b.Remaining, err)
		}
		if left := list(t, g, target); len(left) != b.Remaining || len(left) == 0 || left[0] != rejectedEvent(len(b.Done), 0).ID {
			t.Errorf("%d are left, %d were said to remain", len(left), b.Remaining)
		}
		entries, err := g.Entries(t.Context(), h, 10)
		if err != nil || len(entries) != 1 || entries[0].Action != integration.ActionRejectedDeleted || !strings.Contains(entries[0].Reason, "all 1500 ") {
			t.Errorf("the log has %v, %v, want one entry for the whole list", entries, err)
		}
		late := make(chan error)
		time.AfterFunc(1500*time.Millisecond, func() { // while it works
			late <- <-add(t.Context(), s, target, n, 1, 10)[0]
		})
		b, err = s.DeleteAll(t.Context(), "a", "hook", nil)
		ok(t, []chan error{late})
		if left := list(t, g, target); err != nil || !slices.Equal(left, []string{rejectedEvent(n, 0).ID}) {
			t.Errorf("%v; left are %d, want the one that joined the list later", err, len(left))
		}
	})
}

// A list whose limit was lowered shrinks with every commit, however many events that adds,
// and the process may end between any two: what is listed is counted and there, and every
// event that left the list is in the log.
func TestALoweredListShrinksWithEveryCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g, target := setup(300)
		for i := range 300 / maxBatch {
			ok(t, add(t.Context(), s, target, i*maxBatch, maxBatch, 10))
		}
		before := len(list(t, g, target))
		for first := 400; before > 5; first += 20 {
			options := s.Options
			options.Settings.MaxRejected = 5
			s = New(options) // after a crash
			g.writes = nil
			ok(t, add(t.Context(), s, target, first, 1+maxBatch, 10)) // a commit of one, then of the rest
			after := list(t, g, target)
			if len(after) >= before || !slices.Contains(after, rejectedEvent(first+maxBatch, 0).ID) {
				t.Fatalf("after %d events there are %d, without the newest of them", before, len(after))
			}
			added, named := 0, 0
			for _, w := range g.writes {
				if e, is := w.(store.AddEntry); is && e.Entry.Action == integration.ActionRejectedEvicted {
					named += strings.Count(e.Entry.Reason, "6f1c4f0e-")
				} else if is {
					added++
				}
			}
			if named != before+added-len(after) {
				t.Errorf("of %d events and %d more %d are left, and %d evictions are in the log", before, added, len(after), named)
			}
			before = len(after)
		}
	})
}

// A commit whose response was lost has happened: nothing is listed, counted or evicted twice.
func TestALostResponseChangesNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g, target := setup(3)
		for i := range 3 {
			ok(t, add(t.Context(), s, target, i, 1, 10))
		}
		s.Store = lossy{g}
		ok(t, add(t.Context(), s, target, 3, 1, 10))
		want := []string{rejectedEvent(1, 0).ID, rejectedEvent(2, 0).ID, rejectedEvent(3, 0).ID}
		if got := list(t, g, target); !slices.Equal(got, want) {
			t.Errorf("the list is %v, want %v", got, want)
		}
	})
}

// lossy is a store whose commits happen, but return a conflict, as a repeated one does.
type lossy struct{ store.Store }

func (l lossy) Commit(ctx context.Context, writes ...store.Write) error {
	if err := l.Store.Commit(ctx, writes...); err != nil {
		return err
	}
	return store.ErrConflict
}
