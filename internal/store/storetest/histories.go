package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/store"
)

// histories: log entries and rejected events.
var histories = map[string]func(*testing.T, store.Store){
	"entries are newest first, those of one Commit in reverse": func(t *testing.T, s store.Store) {
		add := func(reason string) store.Write {
			return store.AddEntry{History: life, Entry: integration.LogEntry{Action: integration.ActionStarted, Reason: reason, CreatedAt: base}}
		}
		commit(t, s, add("1"), add("2"), add("3"))
		commit(t, s, add("4"))
		commit(t, s, add("5"), add("6"))
		for limit, want := range map[int][]string{0: nil, 1: {"6"}, 4: {"6", "5", "4", "3"}, 6: {"6", "5", "4", "3", "2", "1"}, 100: {"6", "5", "4", "3", "2", "1"}} {
			entries, err := s.Entries(t.Context(), life, limit)
			var got []string
			for _, e := range read(t, entries, err) {
				got = append(got, e.Reason)
			}
			equal(t, fmt.Sprintf("reasons with limit %d", limit), got, want)
		}
	},
	"entries are newest first, whenever they are committed": func(t *testing.T, s store.Store) {
		add := func(reason string, at time.Duration) store.Write {
			e := anEntry(reason)
			e.CreatedAt = base.Add(at)
			return store.AddEntry{History: life, Entry: e}
		}
		commit(t, s, add("5", 3*time.Second))
		commit(t, s, add("2", time.Second), add("1", 0))
		commit(t, s, add("6", 3*time.Second), add("4", 2*time.Second), add("3", time.Second))
		entries, err := s.Entries(t.Context(), life, 5)
		var got []string
		for _, e := range read(t, entries, err) {
			got = append(got, e.Reason)
		}
		equal(t, "reasons", got, []string{"6", "5", "4", "3", "2"})
	},
	"entries over time": func(t *testing.T, s store.Store) {
		for i := range 150 {
			e := anEntry(fmt.Sprint(i))
			e.CreatedAt = base.Add(time.Duration(i) * time.Second)
			commit(t, s, store.AddEntry{History: life, Entry: e})
		}
		entries, err := s.Entries(t.Context(), life, 120)
		if len(read(t, entries, err)) != 120 {
			t.Fatalf("got %d entries, want 120", len(entries))
		}
		for i, e := range entries {
			if e.Reason != fmt.Sprint(149-i) || !e.CreatedAt.Equal(base.Add(time.Duration(149-i)*time.Second)) {
				t.Fatalf("entry %d is %+v", i, e)
			}
		}
	},
	"entries from a place on": func(t *testing.T, s store.Store) {
		for i := range 10 {
			var writes []store.Write
			for j := range 3 { // of the same time, in one Commit
				e := anEntry(fmt.Sprint(3*i + j))
				e.CreatedAt = base.Add(time.Duration(i/2) * time.Second)
				writes = append(writes, store.AddEntry{History: life, Entry: e})
			}
			commit(t, s, writes...)
		}
		for _, limit := range []int{1, 4, 29, 30, 100} {
			place, next := "", 29
			for {
				page, err := s.EntriesAfter(t.Context(), life, place, limit)
				if len(read(t, page, err)) > limit {
					t.Fatalf("%d entries, want at most %d", len(page), limit)
				}
				for _, e := range page {
					if e.Reason != fmt.Sprint(next) || e.Place == "" {
						t.Fatalf("with limit %d: got %+v, want entry %d", limit, e, next)
					}
					next, place = next-1, e.Place
				}
				if len(page) < limit {
					break
				}
			}
			equal(t, "entries that are left out", next, -1)
		}
	},
	"a place that was never given": func(t *testing.T, s store.Store) {
		commit(t, s, store.AddEntry{History: life, Entry: anEntry("1")})
		for _, place := range []string{"x", "1.x", "-1x", "~DELETED", "#", "é", "\x00", "1 OR 1=1"} {
			if _, err := s.EntriesAfter(t.Context(), life, place, 5); !errors.Is(err, store.ErrPlace) {
				t.Errorf("after %q: %v, want ErrPlace", place, err)
			}
		}
	},
	"a place in a deleted history, or in another": func(t *testing.T, s store.Store) {
		commit(t, s, store.AddEntry{History: life, Entry: anEntry("1")}, store.AddEntry{History: life, Entry: anEntry("2")})
		page, err := s.EntriesAfter(t.Context(), life, "", 1)
		place := read(t, page, err)[0].Place
		other := life
		other.Incarnation++
		for _, h := range []store.History{other, life} {
			page, err := s.EntriesAfter(t.Context(), h, place, 5)
			if n := len(read(t, page, err)); (n == 1) != (h == life) {
				t.Errorf("%d entries after a place in %+v", n, h)
			}
		}
		commit(t, s, store.DeleteHistory{History: life})
		page, err = s.EntriesAfter(t.Context(), life, place, 5)
		equal(t, "entries of a deleted history", len(read(t, page, err)), 0)
	},
	"another incarnation is another history": func(t *testing.T, s store.Store) {
		writeUsual(t, func(writes []store.Write) { commit(t, s, writes...) })
		for _, incarnation := range []uint64{0, 4, 6, 55} {
			other := life
			other.Incarnation = incarnation
			entries, err := s.Entries(t.Context(), other, 10)
			equal(t, "Entries", len(read(t, entries, err)), 0)
			count, err := s.RejectedCount(t.Context(), other)
			equal(t, "RejectedCount", read(t, count, err), &integration.RejectedCount{})
			list, err := s.OldestRejected(t.Context(), other, 10)
			equal(t, "OldestRejected", len(read(t, list, err)), 0)
			_, err = s.Rejected(t.Context(), other, eventA)
			notFound(t, "Rejected", err)
		}
	},
	"a deleted history is unreadable, its namesake's is not": func(t *testing.T, s store.Store) {
		writeUsual(t, func(writes []store.Write) { commit(t, s, writes...) })
		namesake := life
		namesake.Incarnation++
		commit(t, s, store.AddEntry{History: namesake, Entry: anEntry("mine")}, store.PutRejected{History: namesake, Rejected: aRejected(eventA)},
			store.PutRejectedCount{History: namesake, Count: &integration.RejectedCount{Kept: 1}})
		commit(t, s, store.DeleteHistory{History: life})
		commit(t, s, store.DeleteHistory{History: life}) // once more is no error

		entries, err := s.Entries(t.Context(), life, 10)
		equal(t, "Entries", len(read(t, entries, err)), 0)
		count, err := s.RejectedCount(t.Context(), life)
		equal(t, "RejectedCount", read(t, count, err), &integration.RejectedCount{})
		list, err := s.OldestRejected(t.Context(), life, 10)
		equal(t, "OldestRejected", len(read(t, list, err)), 0)
		list, err = s.NewestRejected(t.Context(), life, integration.RejectedRef{EventID: eventB, CreatedAt: base.Add(time.Hour)}, 10)
		equal(t, "NewestRejected", len(read(t, list, err)), 0)
		_, err = s.Rejected(t.Context(), life, eventA)
		notFound(t, "Rejected", err)

		entries, err = s.Entries(t.Context(), namesake, 10)
		equal(t, "the namesake's Entries", len(read(t, entries, err)), 1)
		count, err = s.RejectedCount(t.Context(), namesake)
		equal(t, "the namesake's RejectedCount", read(t, count, err).Kept, 1)
		list, err = s.OldestRejected(t.Context(), namesake, 10)
		equal(t, "the namesake's OldestRejected", len(read(t, list, err)), 1)
		rej, err := s.Rejected(t.Context(), namesake, eventA)
		read(t, rej, err)
	},
	"an actor that outlives a history is not in the way": func(t *testing.T, s store.Store) {
		commit(t, s, store.PutRejected{History: life, Rejected: aRejected(eventA)},
			store.PutRejectedCount{History: life, Count: &integration.RejectedCount{Kept: 1}})
		commit(t, s, store.DeleteHistory{History: life})
		for i := range 2 {
			count, err := s.RejectedCount(t.Context(), life)
			equal(t, "late events of the RejectedCount", read(t, count, err).Kept, i)
			count.Kept++
			writes := []store.Write{store.PutRejectedCount{History: life, Count: count}, store.AddEntry{History: life, Entry: anEntry("late")}}
			if i == 0 {
				writes = append(writes, store.PutRejected{History: life, Rejected: aRejected(eventB)})
			}
			commit(t, s, writes...)
		}
	},
	"the list of rejected events is in the order of their times, then their ids": func(t *testing.T, s store.Store) {
		var want []integration.RejectedRef // oldest first
		for i := range 9 {
			r := aRejected(fmt.Sprintf("%s%03d", eventA[:33], (i*4)%9))
			r.CreatedAt = base.Add(time.Duration((i*7)%3) * time.Nanosecond)
			commit(t, s, store.PutRejected{History: life, Rejected: r})
			want = append(want, r.Ref())
		}
		slices.SortFunc(want, integration.RejectedRef.Compare)
		for limit := range 11 {
			list, err := s.OldestRejected(t.Context(), life, limit)
			equal(t, "the oldest", read(t, list, err), want[:min(limit, 9)])
			newest := slices.Clone(want[9-min(limit, 9):])
			slices.Reverse(newest)
			list, err = s.NewestRejected(t.Context(), life, integration.RejectedRef{}, limit)
			equal(t, "the newest", read(t, list, err), newest)
			if limit == 0 {
				continue
			}
			var all []integration.RejectedRef
			for after := (integration.RejectedRef{}); ; after = all[len(all)-1] {
				page, err := s.NewestRejected(t.Context(), life, after, limit)
				if all = append(all, read(t, page, err)...); len(page) < limit {
					break
				}
			}
			slices.Reverse(all)
			equal(t, fmt.Sprintf("pages of %d", limit), all, want)
		}
	},
	"a page of rejected events begins after one that has left the list": func(t *testing.T, s store.Store) {
		older, newer := aRejected(eventA), aRejected(eventB)
		newer.CreatedAt = older.CreatedAt.Add(1)
		commit(t, s, store.PutRejected{History: life, Rejected: older}, store.PutRejected{History: life, Rejected: newer})
		commit(t, s, store.DeleteRejected{History: life, Ref: newer.Ref()})
		list, err := s.NewestRejected(t.Context(), life, newer.Ref(), 10)
		equal(t, "the page", read(t, list, err), []integration.RejectedRef{older.Ref()})
		list, err = s.NewestRejected(t.Context(), life, older.Ref(), 10)
		equal(t, "the page after the oldest", len(read(t, list, err)), 0)
	},
	"a retry of a rejected event leaves the list as it is": func(t *testing.T, s store.Store) {
		r := aRejected(eventA)
		commit(t, s, store.PutRejected{History: life, Rejected: r})
		r.Attempts, r.RetryUntil = 9, base.Add(time.Hour)
		commit(t, s, store.PutRejected{History: life, Rejected: r})
		again := aRejected(eventA)
		refused(t, s, store.PutRejected{History: life, Rejected: again})
		list, err := s.OldestRejected(t.Context(), life, 10)
		equal(t, "the list", read(t, list, err), []integration.RejectedRef{r.Ref()})
	},
	"rejected events are deleted one by one, if there": func(t *testing.T, s store.Store) {
		commit(t, s, store.PutRejected{History: life, Rejected: aRejected(eventA)}, store.PutRejected{History: life, Rejected: aRejected(eventB)})
		commit(t, s, store.DeleteRejected{History: life, Ref: aRejected(eventA).Ref()})
		commit(t, s, store.DeleteRejected{History: life, Ref: aRejected(eventA).Ref()})
		_, err := s.Rejected(t.Context(), life, eventA)
		notFound(t, "Rejected", err)
		rej, err := s.Rejected(t.Context(), life, eventB)
		equal(t, "the other one", read(t, rej, err).Event.ID, eventB)
		list, err := s.OldestRejected(t.Context(), life, 10)
		equal(t, "the list", read(t, list, err), []integration.RejectedRef{aRejected(eventB).Ref()})
	},
}
