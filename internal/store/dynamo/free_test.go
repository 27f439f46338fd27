package dynamo_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/integration"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/store"
	"github.com/sluicehq/sluice/internal/store/dynamo"
)

const rejectedID = "6f1c4f0e-0000-4000-8000-00000000000"

// fill writes a history: entries, rejected events and their count.
func fill(t *testing.T, s *dynamo.Store, h store.History, entries int) {
	t.Helper()
	var writes []store.Write
	for i := range entries {
		writes = append(writes, entry(h, fmt.Sprint(i), base))
	}
	for i := range 2 {
		d := event.Draft{ID: rejectedID + fmt.Sprint(i), Name: "a.b", Payload: []byte("{}")}
		writes = append(writes, store.PutRejected{History: h, Rejected: &integration.Rejected{Event: d.Stamp(h.Tenant, base), CreatedAt: base}})
	}
	commit(t, s, append(writes, store.PutRejectedCount{History: h, Count: &integration.RejectedCount{Kept: 2}})...)
}

func of(id string) store.History { return store.History{Tenant: "a", Integration: id, Incarnation: 5} }

// items counts the stored items of a history, and returns its tombstone separately.
func (tb table) items(t *testing.T, h store.History) (items int, tombstone map[string]string) {
	t.Helper()
	for _, it := range tb.scan(t) {
		if it["pk"] != fmt.Sprintf("H#%d#%s#%s", h.Incarnation, h.Integration, h.Tenant) {
			continue
		}
		if it["sk"] == "E~DELETED" {
			tombstone = it
		} else {
			items++
		}
	}
	return items, tombstone
}

func free(t *testing.T, s *dynamo.Store, limit, want int) {
	t.Helper()
	if n, err := s.FreeHistories(t.Context(), limit); err != nil || n != want {
		t.Errorf("FreeHistories: %d, %v, want %d", n, err, want)
	}
}

func hidden(t *testing.T, s *dynamo.Store, h store.History) {
	t.Helper()
	if entries, err := s.Entries(t.Context(), h, 9); err != nil || len(entries) > 0 {
		t.Errorf("entries of a deleted history: %v, %v", entries, err)
	}
	if r, err := s.Rejected(t.Context(), h, rejectedID+"0"); problem.CodeOf(err) != problem.NotFound {
		t.Errorf("rejected event of a deleted history: %v, %v", r, err)
	}
	if list, err := s.OldestRejected(t.Context(), h, 9); err != nil || len(list) > 0 {
		t.Errorf("list of a deleted history: %v, %v", list, err)
	}
}

func TestFreeHistories(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	s := tb.store()
	fill(t, s, of("alive"), 5)
	fill(t, s, of("gone"), 60) // more than a batch
	commit(t, s, store.DeleteHistory{History: of("gone")})
	hidden(t, s, of("gone"))
	commit(t, s, entry(of("gone"), "late", base))
	hidden(t, s, of("gone"))

	free(t, s, 10, 0)
	free(t, tb.at(59*time.Minute), 10, 0) // a late actor may still write to it
	if n, _ := tb.items(t, of("gone")); n != 65 {
		t.Errorf("%d items of the history, want all but the count, and a late one", n)
	}
	free(t, tb.at(time.Hour), 0, 0)
	free(t, tb.at(time.Hour), 10, 1)
	n, tombstone := tb.items(t, of("gone"))
	if n != 0 || tombstone == nil || tombstone["timetable"]+tombstone["due"] != "" || tombstone["expires"] != "1751806860" { // 35 days after it was freed
		t.Errorf("left are %d items and the tombstone %v", n, tombstone)
	}
	free(t, tb.at(time.Hour), 10, 0)
	commit(t, s, entry(of("gone"), "very late", base))
	hidden(t, s, of("gone"))
	if n, tombstone := tb.items(t, of("alive")); n != 10 || tombstone != nil {
		t.Errorf("of the other history are left %d items, tombstone %v", n, tombstone)
	}
	commit(t, s, store.DeleteHistory{History: of("gone")}) // frees the late writes, too
	free(t, tb.at(time.Hour), 10, 1)
	if n, _ := tb.items(t, of("gone")); n != 0 {
		t.Errorf("left are %d items", n)
	}
}

func TestFreeHistoriesTheLongestAgoFirst(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	for i := range 5 {
		commit(t, tb.at(-time.Duration(i)*time.Minute), store.DeleteHistory{History: of(fmt.Sprint(i))})
	}
	later := tb.at(time.Hour - 90*time.Second) // 0 and 1 are not due
	free(t, later, 2, 2)
	for i, want := range []bool{true, true, true, false, false} {
		if _, tombstone := tb.items(t, of(fmt.Sprint(i))); (tombstone["due"] != "") != want {
			t.Errorf("history %d is in the due index: %v, want %v", i, !want, want)
		}
	}
	free(t, later, 10, 1)
}

// Wherever it is interrupted, no entry reappears, and the next call continues.
func TestFreeHistoriesInterrupted(t *testing.T) {
	t.Parallel()
	ids := []string{"one", "two"}
	for at, done := 1, false; !done; at++ {
		for _, arrives := range []bool{true, false} {
			tb := newTable(t)
			for _, id := range ids {
				fill(t, tb.store(), of(id), 30)
				commit(t, tb.store(), store.DeleteHistory{History: of(id)})
			}
			ctx, cancel := context.WithCancel(t.Context())
			w := endAfter(at, arrives, cancel)
			n, err := tb.at(time.Hour, w.through).FreeHistories(ctx, 10)
			cancel()
			done = err == nil
			if done && n != len(ids) || !done && n == len(ids) {
				t.Fatalf("interrupted at call %d: %d, %v", at, n, err)
			}
			for _, id := range ids {
				hidden(t, tb.store(), of(id))
			}
			if again, err := tb.at(time.Hour).FreeHistories(t.Context(), 10); err != nil || again < len(ids)-n-1 || again > len(ids)-n {
				t.Errorf("interrupted at call %d: %d, and again: %d, %v", at, n, again, err)
			}
			for _, id := range ids {
				if n, tombstone := tb.items(t, of(id)); n != 0 || tombstone == nil || tombstone["due"] != "" || tombstone["expires"] == "" {
					t.Errorf("interrupted at call %d: left of %s are %d items and %v", at, id, n, tombstone)
				}
			}
			if at > 20 {
				t.Fatal("it takes too many calls")
			}
		}
	}
}

// endAfter returns a wire that passes the given number of calls, not counting those
// of the index. The process ends with the last one, whether that arrives or not.
func endAfter(last int, arrives bool, end func()) *wire {
	n := 0
	return &wire{change: func(c *call) (*http.Response, error) {
		if _, index := c.body["IndexName"]; index {
			return c.pass()
		}
		if n++; n < last {
			return c.pass()
		}
		defer end()
		if arrives {
			return c.lose()
		}
		return nil, context.Canceled
	}}
}

// One history that cannot be freed does not block the others.
func TestFreeHistoriesOneFails(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	for _, id := range []string{"one", "two", "three"} {
		commit(t, tb.store(), store.DeleteHistory{History: of(id)})
	}
	w := &wire{change: func(c *call) (*http.Response, error) {
		if c.op == "UpdateItem" && strings.Contains(fmt.Sprint(c.body), "#one#") {
			return c.answer(http.StatusBadRequest, fault("ThrottlingException"))
		}
		return c.pass()
	}}
	if n, err := tb.at(time.Hour, w.through).FreeHistories(t.Context(), 10); n != 2 || problem.CodeOf(err) != problem.Unavailable {
		t.Errorf("FreeHistories: %d, %v, want 2 and that one is unavailable", n, err)
	}
	free(t, tb.at(time.Hour), 10, 1)
}

// A history that is deleted again while it is freed stays in the due index.
func TestFreeHistoriesDeletedAgain(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	commit(t, tb.store(), store.DeleteHistory{History: of("gone")})
	w := &wire{change: func(c *call) (*http.Response, error) {
		if c.op == "UpdateItem" {
			commit(t, tb.at(time.Hour), entry(of("gone"), "late", base), store.DeleteHistory{History: of("gone")})
		}
		return c.pass()
	}}
	free(t, tb.at(time.Hour, w.through), 10, 1)
	free(t, tb.at(2*time.Hour), 10, 1)
	if n, _ := tb.items(t, of("gone")); n != 0 {
		t.Errorf("left are %d items", n)
	}
}

// Items that DynamoDB leaves unprocessed are deleted, too.
func TestFreeHistoriesInParts(t *testing.T) {
	t.Parallel()
	tb := newTable(t)
	fill(t, tb.store(), of("gone"), 8)
	commit(t, tb.store(), store.DeleteHistory{History: of("gone")})
	w := &wire{change: func(c *call) (*http.Response, error) {
		if c.op != "BatchWriteItem" {
			return c.pass()
		}
		requests := c.body["RequestItems"].(map[string]any)
		all := requests[tb.name].([]any)
		requests[tb.name] = all[:1]
		res, err := c.pass()
		if err != nil || len(all) == 1 {
			return res, err
		}
		res.Body.Close()
		left, err := json.Marshal(all[1:])
		if err != nil {
			return nil, err
		}
		return c.answer(http.StatusOK, fmt.Sprintf(`{"UnprocessedItems":{%q:%s}}`, tb.name, left))
	}}
	free(t, tb.at(time.Hour, w.through), 10, 1)
	if n, _ := tb.items(t, of("gone")); n != 0 {
		t.Errorf("left are %d items", n)
	}
}
